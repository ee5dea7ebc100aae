# Windows that were missed, that a run does not fit into, and in which all runs fail.
use strict;
use warnings;
use BackupExtClock;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main', no_start => 1,
	conf => {
		checkpoint_completion_target => '0',
		timezone => 'UTC',
		autovacuum => 'off',
		'backup_ext.enabled' => 'off',
		'backup_ext.retention' => '1000 days',
		'backup_ext.window' => '02:00-05:00'
	});
my $started = qr/LOG:  backup_ext: backup \S+ started: trigger schedule/;
my $made_up = qr/LOG:  backup_ext: an automatic backup begins: the window that opened \S+ h \S+ min ago was missed/;
# After the times of the files, which are those of the machine.
my $night = 1;

sub next_night
{
	my ($time) = @_;
	return sprintf('2031-06-%02d %s', ++$night, $time);
}

sub same_night
{
	my ($time) = @_;
	return sprintf('2031-06-%02d %s', $night, $time);
}

# Down from before the window to the given time of the next night.
sub restart_at
{
	my ($time, $mode) = @_;
	$node->stop($mode // 'fast');
	set_clock(next_night($time));
	my $position = log_position($node);
	start_with_clock($node);
	return $position;
}

sub count_backups
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()');
}

sub schedule_row
{
	return $node->safe_psql('postgres', q{SELECT status, detail FROM backup_check() WHERE name = 'schedule'});
}

#
# The server was down.
#
set_clock('2031-06-01 01:00:00');
start_with_clock($node);
$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
# Only now: without any backup the first start would make one up as well.
$node->append_conf('postgresql.conf', 'backup_ext.enabled = on');
my $position = restart_at('09:00:00');
launcher_says($node, qr/^ok\|the last good backup began/, 'down during the window: made up');
like(log_since($node, $position), $made_up, 'and the log says why');
is(count_backups(), 1, 'once');
$node->stop;
start_with_clock($node);
launcher_says($node, qr/^ok\|the last good backup began/, 'restarted: it is not made up again');

set_clock(next_night('02:00:10'), $node);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM backup_list()'), 'the next night is one like any other');
set_clock(same_night('09:00:00'), $node);
launcher_says($node, qr/^ok\|the window is closed$/, 'and is over');

configure($node, 'backup_ext.catch_up' => 'off');
restart_at('09:00:00');
launcher_says($node, qr/one that was missed is not made up \(backup_ext.catch_up\)$/, 'catch_up = off');
is(count_backups(), 2, 'catch_up = off: none is taken');
configure($node, 'backup_ext.catch_up' => 'on');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 3 FROM backup_list()'), 'switched on: made up');

# A window that lies before the schedule was switched on was not missed.
configure($node, 'backup_ext.enabled' => 'off');
restart_at('09:00:00');
configure($node, 'backup_ext.enabled' => 'on');
launcher_says($node, qr/^ok\|the window is closed$/, 'switched on after the window');
is(count_backups(), 3, 'switched on after the window: none is taken');

#
# What happens to a run that is going on when its window closes. Rows that do not compress.
#
# An interrupted run keeps whole files, so there are several.
foreach my $table (map { "big_$_" } 1 .. 6)
{
	$node->safe_psql('postgres', qq{
		CREATE TABLE $table (i int, b bytea);
		ALTER TABLE $table ALTER b SET STORAGE EXTERNAL;
		INSERT INTO $table SELECT i, (SELECT string_agg(decode(md5(random()::text || i || j), 'hex'), '')
			FROM generate_series(1, 120) j) FROM generate_series(1, 15000) i});
}
$node->safe_psql('postgres', 'CHECKPOINT');

sub copies_at
{
	my ($time, $bytes, $what) = @_;
	set_clock(next_night($time), $node);
	ok($node->poll_query_until('postgres',
			"SELECT phase = 'copying files' AND bytes_done > $bytes FROM backup_progress()"),
		"$what: a backup copies");
	return;
}

# cancel
configure($node, 'backup_ext.window_end' => 'cancel', 'backup_ext.max_rate' => '10MB');
$position = log_position($node);
copies_at('02:00:10', 140_000_000, 'cancel');
set_clock(same_night('05:00:10'), $node);
launcher_says($node, qr/^ok\|the window is closed, and cut its backup off: the next one goes on with it$/,
	'cancel: the run ends with the window');
like(log_since($node, $position), qr/LOG:  canceling backup because its window has closed/, 'cancel: it is said');
my ($kept) = log_since($node, $position) =~ /was interrupted: (\d+) bytes are kept for the next one/;
cmp_ok($kept // 0, '>', 60_000_000, 'cancel: what it stored is kept');
like(schedule_row(), qr/^warning\|the last automatic backup was ended by the end of its window/,
	'cancel: backup_check() warns');
$node->reload foreach 1 .. 3;
launcher_says($node, qr/the window is closed/, 'cancel: it is not begun again');
is(count_in_log($node, $started, $position), 1, 'cancel: one run');
is(count_backups(), 3, 'cancel: no backup');
BackupExtTest::nothing_left_running($node, 'cancel');

configure($node, 'backup_ext.max_rate' => '0');
set_clock(next_night('02:00:10'), $node);
ok($node->poll_query_until('postgres', 'SELECT count(*) >= 1 FROM backup_list() WHERE started_at > now() - interval \'1 hour\''),
	'cancel: the next window completes it');
launcher_says($node, qr/^ok\|the last good backup began/, 'cancel: and no other is due');
cmp_ok($node->safe_psql('postgres', 'SELECT stored_bytes FROM backup_list() LIMIT 1'), '<', 120_000_000,
	'cancel: what was stored is not stored again');
is(schedule_row(), 'ok|automatic backups are on', 'cancel: backup_check() is content');
my $stage = BackupExtTest::stage($node, 'latest');
my $copy = BackupExtTest::start_stage($stage);
is(BackupExtTest::dump($copy), BackupExtTest::dump($node), 'cancel: it is equal by dump');
BackupExtTest::stop_stage($copy);

# continue
sub new_full
{
	my ($name) = @_;
	configure($node, 'backup_ext.repository' => $node->basedir . "/$name");
	return;
}
configure($node, 'backup_ext.window_end' => 'continue', 'backup_ext.max_rate' => '5MB');
new_full('second');
copies_at('02:00:10', 1_000_000, 'continue');
set_clock(same_night('05:00:10'), $node);
launcher_says($node, qr/a backup is running/, 'continue: it goes on');
configure($node, 'backup_ext.max_rate' => '0');
launcher_says($node, qr/^ok\|the window is closed$/, 'continue: until it is done');
is(count_backups(), 1, 'continue: it is there');

# throttle: 200 MB would take hours, were they spread over three; the least rate is 1 MB a second.
configure($node, 'backup_ext.window_end' => 'throttle');
new_full('third');
copies_at('02:00:10', 1, 'throttle');
sleep(5);
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_progress()'), '1', 'throttle: it takes its time');
set_clock(same_night('04:50:00'), $node);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM backup_list()'),
	'throttle: shortly before the end it goes as fast as it can');

#
# A run that is ended by the server's own end.
#
configure($node, 'backup_ext.window_end' => 'continue', 'backup_ext.max_rate' => '1MB');
new_full('fourth');
copies_at('02:00:10', 1, 'crash');
$node->stop('immediate');
$node->append_conf('postgresql.auto.conf', 'backup_ext.max_rate = 0');
set_clock(same_night('09:00:00'));
$position = log_position($node);
start_with_clock($node);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM backup_list()'), 'crash: the run is made up');
like(log_since($node, $position), $made_up, 'crash: as a window that was missed');

#
# All runs of a window fail.
#
my $repository = $node->basedir . '/fourth';
rename($repository, "$repository.away") or die $!;
$position = log_position($node);
set_clock(next_night('02:00:10'), $node);
ok($node->poll_query_until('postgres', q{SELECT status = 'error' FROM backup_check() WHERE name = 'schedule'}),
	'unreachable: the failure is seen');
launcher_says($node, qr/^ok\|the last run failed, next try in \d+ s$/, 'unreachable: it is tried again');
set_clock(same_night('02:02:30'), $node);
my $failed = qr/ERROR:  repository .* is not there any more/;
wait_until(sub { count_in_log($node, $failed, $position) >= 2 }, 'the second try');
set_clock(same_night('05:00:10'), $node);
launcher_says($node, qr/^ok\|the window is closed, and its backup failed: the next one takes it$/,
	'unreachable: until the window closes');
$node->reload foreach 1 .. 3;
launcher_says($node, qr/its backup failed/, 'unreachable: and no longer');
like(schedule_row(), qr/^error\|the last \d+ automatic backups failed: .*; the window has closed, and a backup is due$/,
	'unreachable: failed and due');
is(count_in_log($node, qr/WARNING:  backup_ext: the window has closed without a good backup/, $position), 1,
	'unreachable: one warning');
rename("$repository.away", $repository) or die $!;
set_clock(next_night('02:00:10'), $node);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM backup_list()'), 'reachable again: the next night has its backup');
is(schedule_row(), 'ok|automatic backups are on', 'reachable again: backup_check() is content');

done_testing();
