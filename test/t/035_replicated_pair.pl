# A primary and its standby with the same settings and one repository: who takes the backups, never two
# at once, and what a failover changes.
use strict;
use warnings;
use BackupExtClock;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = BackupExtTest::new_node('primary', no_start => 1,
	conf => {
		checkpoint_completion_target => '0',
		timezone => 'UTC',
		autovacuum => 'off',
		# The clock jumps by days.
		wal_sender_timeout => '0',
		wal_receiver_timeout => '0',
		wal_keep_size => '512MB',
		'backup_ext.enabled' => 'on',
		'backup_ext.catch_up' => 'off',
		'backup_ext.retention' => '1000 days',
		'backup_ext.window' => '02:00-05:00'
	});
# After the times of the files, which are those of the machine.
my $night = 0;
set_clock('2031-06-01 01:00:00');
start_with_clock($primary);
$primary->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
$primary->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i');
$primary->backup('seed');
my $standby = new_standby('standby', $primary, 'seed');

sub new_standby
{
	my ($name, $of, $backup) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($of, $backup, has_streaming => 1);
	start_with_clock($node);
	$of->wait_for_catchup($node, 'replay', $of->lsn('flush'));
	return $node;
}

sub night_begins
{
	my (@nodes) = @_;
	set_clock(sprintf('2031-06-%02d 02:00:10', ++$night), @nodes);
	return;
}

# The list is the same wherever one looks. A standby's backup waits for WAL and a checkpoint of the
# primary.
sub has_backups
{
	my ($count, $what, $writer) = @_;
	wait_until(
		sub {
			$writer->safe_psql('postgres', 'CHECKPOINT; SELECT pg_switch_wal()');
			return $writer->safe_psql('postgres', 'SELECT count(*) FROM backup_list()') >= $count;
		}, $what);
	is($writer->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), $count, $what);
	return;
}

my $finished = qr/LOG:  backup_ext: backup \S+ finished/;
sub finished_by
{
	my ($node) = @_;
	# The list has it before the log does.
	$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()') or die 'it does not end';
	return count_in_log($node, $finished);
}

#
# Who runs the schedule.
#
night_begins($primary, $standby);
has_backups(1, 'run_on = primary: a backup', $primary);
is(finished_by($primary), 1, 'run_on = primary: by the primary');
launcher_says($standby, qr/^ok\|the server is in recovery, and backup_ext.run_on is primary$/,
	'run_on = primary: the standby leaves it alone');
launcher_says($primary, qr/^ok\|the last good backup began/, 'run_on = primary: no other is due');

configure($_, 'backup_ext.run_on' => 'standby') foreach $primary, $standby;
launcher_says($standby, qr/^ok\|the last good backup began/,
	'run_on = standby: the backup of this night is there, whoever took it');
night_begins($primary, $standby);
has_backups(2, 'run_on = standby: a backup', $primary);
is(finished_by($standby), 1, 'run_on = standby: by the standby');
launcher_says($primary, qr/^ok\|the server is not in recovery, and backup_ext.run_on is standby$/,
	'run_on = standby: the primary leaves it alone');

configure($_, 'backup_ext.run_on' => 'any') foreach $primary, $standby;
night_begins($primary, $standby);
has_backups(3, 'run_on = any: a backup', $primary);
launcher_says($_, qr/^ok\|the last good backup began/, 'run_on = any: no other is due, ' . $_->name)
  foreach $primary, $standby;
is(finished_by($primary) + finished_by($standby), 3, 'run_on = any: by one of them');
is($_->safe_psql('postgres', q{SELECT count(*) FROM backup_check() WHERE name = 'schedule' AND status <> 'ok'}),
	'0', 'run_on = any: nobody failed, ' . $_->name) foreach $primary, $standby;

#
# Never two at once, and a failover in the middle of a run.
#
configure($_, 'backup_ext.run_on' => 'primary') foreach $primary, $standby;
configure($primary, 'backup_ext.max_rate' => '1MB');
$primary->safe_psql('postgres', 'CREATE TABLE u AS SELECT i, md5(i::text) FROM generate_series(1, 500000) i');
night_begins($primary, $standby);
ok($primary->poll_query_until('postgres', q{SELECT phase = 'copying files' FROM backup_progress()}),
	'a backup of the primary runs');
my $error = BackupExtTest::fails_with($standby, 'SELECT backup_now()', '55P03', 'is locked by another writer');
like($error, qr/DETAIL:  The lock is held by backup \S+ \(PID \d+ on \S+\)/, 'one of the standby is refused: the holder is named');

my $before = finished_by($standby);
$primary->stop('immediate');
$standby->promote;
has_backups(4, 'after the failover the run of this night is made up for', $standby);
is($standby->safe_psql('postgres', 'SELECT trigger, state, timeline FROM backup_list() LIMIT 1'),
	'schedule|complete|2', 'by the promoted standby');
launcher_says($standby, qr/^ok\|the last good backup began/, 'and no other is due');
my $stage = BackupExtTest::stage($standby, 'latest');
my $copy = BackupExtTest::start_stage($stage);
is(BackupExtTest::dump($copy), BackupExtTest::dump($standby), 'it is equal by dump');
BackupExtTest::stop_stage($copy);

#
# The old primary comes back as it was.
#
start_with_clock($primary);
night_begins($primary, $standby);
has_backups(5, 'the new primary goes on', $standby);
is(finished_by($standby) - $before, 2, 'with one backup a night');
ok($primary->poll_query_until('postgres',
		q{SELECT detail LIKE '%is used by another server of this cluster%' FROM backup_check() WHERE name = 'other_servers'}),
	'backup_check() of the old primary says what is wrong');
my ($old, $new) = map { $_->data_dir } $primary, $standby;
$error = BackupExtTest::fails_with($primary, 'SELECT backup_now()', '55000',
	'is used by another server of this cluster', qr/need a repository each/);
like($error, qr/of the server on host "\S+" in "\Q$new\E", timeline 2\. This is the server on host "\S+" in "\Q$old\E", timeline 1\./,
	'both servers are named');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), '5', 'the repository is left alone');
$primary->stop;

# Its place is taken by a new standby.
$standby->backup('seed');
my $third = new_standby('third', $standby, 'seed');
configure($_, 'backup_ext.run_on' => 'standby') foreach $standby, $third;
night_begins($standby, $third);
has_backups(6, 'the new standby takes the next one', $standby);
is(finished_by($third), 1, 'by itself');

done_testing();
