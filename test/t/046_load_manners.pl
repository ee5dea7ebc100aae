# A backup makes room when the server has more to do than before, and says why; a restore does not.
use strict;
use warnings;
use BackupExtJudges qw(start_psql finish_psql);
use BackupExtSchedule;
use BackupExtTest qw(take_backup start_load finish_load nothing_left_running wait_for);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main', conf => { 'wal_sender_timeout' => '10min', 'backup_ext.workers' => '1' });
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres',
	'CREATE TABLE filled AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 200000) i');
$node->wait_for_catchup($standby);

sub slowed_by
{
	my ($reason, $what) = @_;
	return ok($node->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM backup_progress() WHERE operation = 'backup' AND throttled_because LIKE '%$reason%'"),
		$what);
}

# What was asked for is no surprise.
configure($node, 'backup_ext.max_rate' => '500kB');
start_slow_backup($node);
slowed_by('max_rate', 'max_rate');
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
# (The machine may have more to do than this test.)
is($node->safe_psql('postgres', q{SELECT replace(throttled_because, ', busy processors', '') FROM backup_progress()}), 'max_rate',
	'and nothing else while nothing happens');

# A standby falls behind.
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill('STOP', $receiver) == 1 or die 'no WAL receiver';
$node->safe_psql('postgres', 'CREATE TABLE lag AS SELECT * FROM filled');
slowed_by('replication lag', 'replication lag');
kill('CONT', $receiver);
$node->wait_for_catchup($standby);
$standby->stop;

# More sessions than before.
my $load = start_load($node, clients => 12);
slowed_by('active backends', 'active backends');
finish_load($load);

# Others need the processors.
configure($node, 'backup_ext.max_rate' => '4MB');
my $processors = () = slurp_file('/proc/cpuinfo') =~ /^processor\s/mg;
my @busy;
foreach (1 .. 2 * $processors)
{
	my $pid = fork() // die "could not fork: $!";
	if ($pid == 0)
	{
		# They do not outlive a test that is killed.
		alarm(3 * $PostgreSQL::Test::Utils::timeout_default);
		1 while 1;
	}
	push @busy, $pid;
}
slowed_by('busy processors', 'busy processors');
kill('KILL', @busy);
waitpid($_, 0) foreach @busy;
configure($node, 'backup_ext.max_rate' => '0');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()'), 'it comes to its end');
nothing_left_running($node, 'afterwards');
is($node->safe_psql('postgres', 'SELECT state FROM backup_list()'), 'complete', 'and is good');

# A restore is never slowed, nor is its safety backup.
$load = start_load($node, clients => 12, no_init => 1);
$node->safe_psql('postgres', "SELECT backup_stage_restore('latest', wait => false)");
my ($seen, $slowed) = (0, 0);
while (1)
{
	my $row = $node->safe_psql('postgres',
		q{SELECT phase || '|' || coalesce(throttled_because, '') FROM backup_progress()});
	last if $row eq '';
	$seen++;
	$slowed++ unless $row =~ /\|$/;
}
cmp_ok($seen, '>', 0, 'a restore under load is seen');
is($slowed, 0, 'it is not slowed');
finish_load($load);
is($node->safe_psql('postgres', 'SELECT state FROM backup_staged()'), 'ready', 'and is there');

# Transactions of no more sessions take longer than before: each waits for a lock in vain, first for
# 0.15 seconds, then for 0.5. What was usual is forgotten by the restart, so that it is this load alone;
# the backup learns it in its first seconds.
$node->restart;
configure($node, 'backup_ext.max_rate' => '500kB');
my $holder = start_psql($node, 'SELECT pg_advisory_lock(1), pg_sleep(3600)');
wait_for($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted}, 'a lock is held');
sub transactions_take
{
	my ($duration) = @_;
	$node->safe_psql('postgres', <<"SQL");
CREATE OR REPLACE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM set_config('lock_timeout', '$duration', true);
  BEGIN
    PERFORM pg_advisory_xact_lock(1);
  EXCEPTION WHEN lock_not_available THEN
    NULL;
  END;
  RETURN NEW;
END \$\$;
SQL
	return;
}
transactions_take('150ms');
$node->safe_psql('postgres',
	'CREATE TRIGGER take_long BEFORE INSERT ON pgbench_history FOR EACH ROW EXECUTE FUNCTION take_long()');
$load = start_load($node, clients => 8, script => 'simple-update', no_init => 1);
start_slow_backup($node);
$node->safe_psql('postgres', 'SELECT pg_sleep(10)');
wait_for($node, q{SELECT throttled_because NOT LIKE '%commit latency%' FROM backup_progress()},
	'no commit latency while nothing changes');
transactions_take('500ms');
slowed_by('commit latency', 'commit latency');
$node->safe_psql('postgres', 'DROP TRIGGER take_long ON pgbench_history');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted});
finish_psql($holder);
finish_load($load);
configure($node, 'backup_ext.max_rate' => '0');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()'), 'this one ends too');

done_testing();
