# The automatic backup: taken by the launcher alone, once, inside the window; what forbids it; what
# happens when it fails.
#
# Several servers at once: the waits that show that nothing happens are the same for all of them.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The launcher looks every 20 seconds: so long nothing must happen, to say that it does not.
my $two_looks = 42;

# A spread checkpoint that does not take minutes.
my %quick = (checkpoint_completion_target => '0', restart_after_crash => 'on',
	log_checkpoints => 'on', timezone => 'UTC');

sub new_repository
{
	my ($node, $name) = @_;
	return $node->basedir . "/$name";
}

sub takes_one
{
	my ($node, $what) = @_;
	launcher_says($node, qr/^ok\|the last good backup began \d+ (s|min) ago$/, "$what: a backup is taken");
	is(backups($node), 'schedule complete', "$what: one");
	return;
}

sub takes_none
{
	my ($node, $reason, $what) = @_;
	launcher_says($node, $reason, "$what: the reason");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM backup_progress()}), '0',
		"$what: no backup runs");
	return;
}

#
# What forbids it, one after the other.
#
my $node = BackupExtTest::new_node('auto', conf => \%quick, no_repository => 1);
$node->safe_psql('postgres', q{CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i});
my $position = log_position($node);

configure($node, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window_around($node));
takes_none($node, qr/backup_ext\.repository is not set/, 'no repository');
$node->reload foreach 1 .. 3;
unlike(log_since($node, $position), qr/WARNING|ERROR|FATAL/, 'no repository: nothing in the log');

configure($node, 'backup_ext.enabled' => 'off',
	'backup_ext.repository' => new_repository($node, 'first'));
takes_none($node, qr/switched off/, 'enabled = off');
ok(!-e new_repository($node, 'first'), 'enabled = off: not even the repository is made');

configure($node, 'backup_ext.window' => window($node, '1 hour', '-1 hour'),
	'backup_ext.enabled' => 'on');
takes_none($node, qr/the window is closed/, 'outside of the window');

#
# The window counts in the server's time zone.
#
# A zone where it is between midnight and one o'clock.
my $midnight = -$node->safe_psql('postgres', q{SELECT extract(hour FROM now())::int});
$midnight += 24 if $midnight < -12;
$midnight = sprintf('Etc/GMT%+d', -$midnight);
configure($node, timezone => $midnight, 'backup_ext.window' => '21:00-23:00');
takes_none($node, qr/the window is closed/, "closed before midnight ($midnight)");
configure($node, 'backup_ext.window' => '23:00-02:00');
takes_one($node, 'a window that crosses midnight');

my $auckland = window_around($node, 'Pacific/Auckland');
configure($node, timezone => 'UTC', 'backup_ext.window' => $auckland,
	'backup_ext.repository' => new_repository($node, 'second'));
takes_none($node, qr/the window is closed/, "$auckland in UTC");
configure($node, timezone => 'Pacific/Auckland');
takes_one($node, "$auckland in Auckland");
configure($node, timezone => 'America/St_Johns',
	'backup_ext.window' => window_around($node, 'America/St_Johns'),
	'backup_ext.repository' => new_repository($node, 'third'));
takes_one($node, 'a zone with half an hour');

#
# The one backup, as a whole.
#
$position = log_position($node);
configure($node, timezone => 'UTC', 'backup_ext.window' => window_around($node, 'UTC'),
	'backup_ext.repository' => BackupExtTest::repository($node));
takes_one($node, 'in the window');
my $taken_at = time();
my $started = qr/LOG:  backup_ext: backup \S+ started: trigger schedule/;
like(log_since($node, $position), qr/checkpoint starting: force wait/, 'by a spread checkpoint');

# Meanwhile: a standby of it, with a repository of its own.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf',
	"backup_ext.repository = '" . BackupExtTest::repository($standby) . "'");
$standby->append_conf('postgresql.auto.conf',
	"backup_ext.repository = '" . BackupExtTest::repository($standby) . "'");
$standby->start;

# A server whose repository cannot be written to.
my $failing = BackupExtTest::new_node('failing', conf => \%quick);
mkdir(BackupExtTest::repository($failing), 0500) or die $!;
my $refused = qr/ERROR:  .*not writable|ERROR:  could not .*Permission denied/;
configure($failing, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window_around($failing));
my $schedule = q{SELECT status, detail FROM backup_check() WHERE name = 'schedule'};
ok($failing->poll_query_until('postgres',
		q{SELECT status = 'error' FROM backup_check() WHERE name = 'schedule'}),
	'not writable: the failure is seen');
my $failed_at = time();
like($failing->safe_psql('postgres', $schedule), qr/^error\|the last 1 automatic backups failed: ./,
	'not writable: backup_check() tells it');
launcher_says($failing, qr/^ok\|the last run failed, next try in \d+ s$/,
	'not writable: it waits for its next try');

# A server that the backup brings down, by the out-of-memory killer say.
my $crashing = BackupExtTest::new_node('crashing',
	conf => { %quick, 'backup_ext.max_rate' => '1MB' });
configure($crashing, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window_around($crashing));
ok($crashing->poll_query_until('postgres',
		q{SELECT phase = 'copying files' FROM backup_progress()}),
	'a backup runs by itself');

# While it does, nobody else's begins.
my $job_id = $crashing->safe_psql('postgres', 'SELECT job_id FROM backup_progress()');
my $error = BackupExtTest::fails_with($crashing, 'SELECT backup_now()', '55006',
	'could not start backup: another is running', qr/backup_cancel\('\Q$job_id\E'\)/,
	'backup_now() during the automatic one');
like($error, qr/DETAIL:  Job \Q$job_id\E is taking a backup/, 'the job is named');
$crashing->reload;
launcher_says($crashing, qr/^ok\|a backup is running/, 'the launcher knows, too');

my $launcher = launcher_pid($crashing);
kill('KILL', $crashing->safe_psql('postgres', 'SELECT pid FROM backup_progress()'));
launcher_after($crashing, $launcher, 'the backup took the server down');
my $crashed_at = time();
launcher_says($crashing, qr/^ok\|the server crashed, next try in \d+ s$/,
	'the schedule does not do it again at once');
configure($crashing, 'backup_ext.max_rate' => '0');
launcher_says($crashing, qr/^ok\|the server crashed, next try in \d+ s$/, 'not even after a reload');

# It is a backup like any other.
my $stage = BackupExtTest::stage($node, 'latest');
my $copy = BackupExtTest::start_stage($stage);
is(BackupExtTest::dump($copy), BackupExtTest::dump($node), 'restored and started, it is equal by dump');
BackupExtTest::stop_stage($copy);

#
# Time passes.
#
my $waited = time() - $taken_at;
sleep($two_looks - $waited) if $waited < $two_looks;
launcher_says($node, qr/^ok\|the last good backup began/, 'two looks later: none is due');
is(count_in_log($node, $started, $position), 1, 'two looks later: no second backup');

is(count_in_log($crashing, $started), 1, 'after the crash: no second try yet')
  if time() - $crashed_at < 60;

takes_none($standby, qr/the server is in recovery/, 'standby');
is(backups($standby), '', 'standby: none');
$standby->promote;

my $lines = count_in_log($failing, qr/WARNING|ERROR|FATAL/);
is($lines, 1, 'not writable: one attempt, one line in the log') if time() - $failed_at < 60;
like(slurp_file($failing->logfile), $refused, 'not writable: and it names the reason');
chmod(0700, BackupExtTest::repository($failing)) or die $!;
$failing->reload;
takes_one($failing, 'mended, and a reload');
is($failing->safe_psql('postgres', $schedule), 'ok|automatic backups are on',
	'mended: backup_check() is content');

# A repository whose backups cannot be read: no backup is due for certain, and none is begun.
$position = log_position($failing);
chmod(0000, BackupExtTest::repository($failing)) or die $!;
$failing->reload;
launcher_says($failing, qr/^error\|could not .*Permission denied/, 'unreadable: the launcher tells');
$failing->reload foreach 1 .. 3;
BackupExtTest::fails_with($failing, 'SELECT * FROM backup_list()', '42501', 'Permission denied');
$lines = () = log_since($failing, $position) =~ /WARNING:  could not .*Permission denied/g;
is($lines, 1, 'unreadable: one warning for many looks');
chmod(0700, BackupExtTest::repository($failing)) or die $!;
$failing->reload;
takes_one($failing, 'readable again: the old one is young enough');

# A manual backup ends the series of failures as well.
configure($failing, 'backup_ext.repository' => new_repository($failing, 'second'),
	'backup_ext.enabled' => 'off');
mkdir(new_repository($failing, 'second'), 0500) or die $!;
configure($failing, 'backup_ext.enabled' => 'on');
ok($failing->poll_query_until('postgres',
		q{SELECT status = 'error' FROM backup_check() WHERE name = 'schedule'}),
	'it fails again');
chmod(0700, new_repository($failing, 'second')) or die $!;
BackupExtTest::take_backup($failing);
is($failing->safe_psql('postgres', $schedule), 'ok|automatic backups are on',
	'a manual backup is as good: backup_check() is content');
launcher_says($failing, qr/^ok\|the last good backup began/, 'and none is due');

# A restart forgets nothing that matters.
$failing->restart;
launcher_says($failing, qr/^ok\|the last good backup began/, 'restarted: none is due');
is(backups($failing), 'manual complete', 'restarted: none was taken');

takes_one($standby, 'the promoted standby');

takes_one($crashing, 'after the crash, and a minute');

done_testing();
