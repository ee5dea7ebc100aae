# What a running job tells of itself, what is known of those that are over, and the one query that
# says whether backups are well.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest qw(take_backup stage wait_for nothing_left_running fails_with);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main', conf => { 'restart_after_crash' => 'on' });

sub sql { return $node->safe_psql('postgres', $_[0]); }

# One row of backup_history() by its columns, of the newest run that matches.
sub run_of
{
	my ($condition, $columns) = @_;
	return sql("SELECT $columns FROM backup_history() WHERE $condition ORDER BY started_at DESC LIMIT 1");
}

#
# Before the first backup.
#
is(sql('SELECT count(*) FROM backup_status()'), '1', 'backup_status(): one row');
is(sql(q{SELECT enabled, last_success_at, last_success_id, last_error, last_error_at, recoverable_from,
		recoverable_until, wal_lag_bytes, repository_bytes FROM backup_status()}),
	'f||||||||', 'backup_status() before the first backup');
is(sql('SELECT repository FROM backup_status()'), BackupExtTest::repository($node), 'it names the repository');
is(sql('SELECT count(*) FROM backup_history()'), '0', 'no history');

#
# A slow backup: progress, its mirror, the log.
#
sql('CREATE TABLE filled AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i');
configure($node, 'backup_ext.max_rate' => '4MB');
my $position = log_position($node);
my $slow = start_slow_backup($node);
ok($node->poll_query_until('postgres', q{SELECT bytes_done > 0 AND bytes_total > bytes_done
		AND files_done > 0 AND files_total > files_done AND percent > 0 AND percent < 100
		AND bytes_per_second > 0 AND eta > now() AND throttled_because LIKE 'max_rate%'
		AND operation = 'backup' AND pid IS NOT NULL FROM backup_progress()}),
	'backup_progress(): bytes, files, rate, time left');
is(sql("SELECT backup_id = '$slow' FROM backup_progress()"), 't', 'and which backup it is');
ok($node->poll_query_until('postgres', q{SELECT m.phase = 'streaming database files'
		AND m.backup_total > m.backup_streamed AND m.backup_streamed > 0
		AND m.backup_streamed <= p.bytes_done AND m.tablespaces_total = 1
		FROM (SELECT * FROM pg_stat_progress_basebackup) m, backup_progress() p WHERE m.pid = p.pid}),
	'pg_stat_progress_basebackup shows the same');

# max_rate changes during the run by a reload.
configure($node, 'backup_ext.max_rate' => '0');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()'),
	'without max_rate it comes to its end');
is(sql('SELECT count(*) FROM pg_stat_progress_basebackup'), '0', 'no row is left');
my $log = log_since($node, $position);
like($log, qr/LOG:  backup_ext: backup $slow started: trigger manual, kind auto, workers \d+\n/,
	'one line at the start');
like($log, qr/LOG:  backup_ext: backup $slow finished: full, database \d+ bytes in \d+ files, stored \d+ bytes, WAL \S+ to \S+, \d+\.\d s\n/,
	'one line at the end, with its figures');

#
# The history of a success, and the status after it.
#
is(run_of("backup_id = '$slow'", 'operation, kind, trigger, result, error IS NULL'),
	'backup|full|manual|succeeded|t', 'backup_history(): the backup');
is(sql(qq{SELECT h.database_bytes = l.database_bytes AND h.stored_bytes = l.stored_bytes AND h.files > 0
		AND h.duration > '0' AND h.finished_at >= h.started_at
		FROM backup_history() h JOIN backup_list() l USING (backup_id)}),
	't', 'with the sizes of backup_list()');
is(sql(q{SELECT s.last_success_id = l.backup_id AND s.last_success_at = l.finished_at
		AND s.recoverable_from = l.finished_at AND s.recoverable_until = l.finished_at
		AND s.wal_lag_bytes >= 0 AND s.repository_bytes >= l.stored_bytes AND s.repository_free_bytes > 0
		AND s.last_error IS NULL FROM backup_status() s, backup_list() l}),
	't', 'backup_status() after a backup');
my $lag = sql('SELECT wal_lag_bytes FROM backup_status()');
sql('CREATE TABLE more AS SELECT * FROM filled; SELECT pg_switch_wal()');
cmp_ok(sql('SELECT wal_lag_bytes FROM backup_status()'), '>', $lag + 1_000_000,
	'wal_lag_bytes grows with what only the server has');

#
# The schedule as backup_status() tells it.
#
configure($node, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window($node, '2 hours', '3 hours'));
launcher_says($node, qr/^ok\|the window is closed/, 'the launcher has looked');
ok($node->poll_query_until('postgres', q{SELECT enabled AND next_run_at = window_opens_at
		AND window_opens_at BETWEEN now() + '1 hour 58 minutes' AND now() + '2 hours' FROM backup_status()}),
	'closed: when it opens, the next run');
configure($node, 'backup_ext.window' => window_around($node));
launcher_says($node, qr/^ok\|the last good backup began/, 'the launcher has looked again');
ok($node->poll_query_until('postgres', q{SELECT window_opens_at < now()
		AND next_run_at > now() + '19 hours' FROM backup_status()}),
	'open, and done for today: tomorrow');
configure($node, 'backup_ext.enabled' => 'off', 'backup_ext.window' => undef);
ok($node->poll_query_until('postgres', 'SELECT NOT enabled AND next_run_at IS NULL FROM backup_status()'),
	'switched off: no next run');

#
# Every other kind of job.
#
$position = log_position($node);
my $stage = stage($node, 'latest');
is(run_of("stage_id = '$stage->{stage_id}'", 'operation, trigger, result, database_bytes'),
	"restore|manual|succeeded|$stage->{bytes}", 'a restore is in the history');
sql('SELECT * FROM backup_verify()');
is(run_of("operation = 'verify'", "backup_id = '$slow', result, database_bytes > 1000000, files > 100"),
	't|succeeded|t|t', 'a verify is in the history');
my $second = take_backup($node);
configure($node, 'backup_ext.retention' => '1 second');
sql('SELECT pg_sleep(1.1)');
my $third = take_backup($node);
is(run_of("backup_id = '$third'", 'freed_bytes > 0'), 't', 'what the retention after a backup freed');
sql(q{SELECT backup_pin('latest')});
sql('SELECT pg_sleep(1.1)');
my $fourth = take_backup($node);
sql("SELECT backup_unpin('$third')");
sql('SELECT * FROM backup_expire()');
is(run_of("operation = 'expire'", 'trigger, result, files, freed_bytes > 0'), 'manual|succeeded|1|t',
	'backup_expire() is in the history');
is(sql('SELECT string_agg(backup_id, chr(10)) FROM backup_list()'), $fourth, 'it did what it says');
$log = log_since($node, $position);
like($log, qr/backup_ext: restore $stage->{stage_id} started: trigger manual, backup latest, workers \d+\n/,
	'restore: its start');
like($log, qr/backup_ext: restore $stage->{stage_id} finished: \d+ bytes in \d+ files, \d+\.\d s\n/,
	'restore: its end');
like($log, qr/backup_ext: verify $slow started: trigger manual, workers \d+\n/, 'verify: its start');
like($log, qr/backup_ext: verify $slow finished: \d+ bytes in \d+ files, \d+\.\d s\n/, 'verify: its end');
like($log, qr/backup_ext: expire job-\S+ started: trigger manual\n/, 'expire: its start');
like($log, qr/backup_ext: expire job-\S+ finished: 1 backups removed, \d+ bytes freed, \d+\.\d s\n/,
	'expire: its end');
configure($node, 'backup_ext.retention' => undef);

#
# backup_history(since).
#
cmp_ok(sql('SELECT count(*) FROM backup_history(NULL)'), '==', sql('SELECT count(*) FROM backup_history()'),
	'since NULL is all');
is(sql(q{SELECT count(*) FROM backup_history('0 seconds')}), '0', 'since now is none');
is(sql(q{SELECT bool_and(started_at >= lead) FROM
		(SELECT started_at, lead(started_at) OVER () FROM backup_history()) x WHERE lead IS NOT NULL}),
	't', 'newest first');

#
# Failures: cancelled, failed before anything was written, and with the repository out of reach.
#
configure($node, 'backup_ext.max_rate' => '1MB');
$position = log_position($node);
my $cancelled = start_slow_backup($node);
is(sql('SELECT backup_cancel(job_id) FROM backup_progress()'), 't', 'cancel');
nothing_left_running($node, 'cancelled');
is(run_of("backup_id = '$cancelled'", 'result, error, database_bytes > 0'),
	'canceled|canceling job due to user request|t', 'a cancelled run is in the history');
like(log_since($node, $position),
	qr/backup_ext: backup $cancelled canceled: \d+ bytes in \d+ files, \d+\.\d s: canceling job due to user request\n/,
	'and its end in the log');
is(sql('SELECT last_error IS NULL FROM backup_status()'), 't', 'it is no error');
configure($node, 'backup_ext.max_rate' => '0');

my $repository = BackupExtTest::repository($node);
rename($repository, "$repository.away") or die $!;
$position = log_position($node);
fails_with($node, 'SELECT backup_now()', '58P01', 'repository', undef, 'the repository is away');
like(log_since($node, $position), qr/backup_ext: backup \S+ failed: 0 bytes in 0 files, \d+\.\d s: .*repository/,
	'the log tells its end');
is(sql(q{SELECT last_error LIKE '%repository%' AND last_error_at > now() - interval '10 minutes'
		AND last_success_at IS NULL FROM backup_status()}),
	't', 'backup_status() answers all the same');
is(run_of('true', 'operation, result, error IS NOT NULL'), 'backup|failed|t', 'the failure is known here');
my $runs = $node->data_dir . '/backup_ext/runs';
is(scalar(() = glob("$runs/*.json")), 1, 'it waits in the data directory');
$node->restart;
is(run_of('true', 'operation, result'), 'backup|failed', 'it outlives a restart');
rename("$repository.away", $repository) or die $!;
my $fifth = take_backup($node);
is(scalar(() = glob("$runs/*.json")), 0, 'the next run brings it into the repository');
is(sql(q{SELECT string_agg(result, ' ') FROM (SELECT result FROM backup_history() LIMIT 2) x}),
	'succeeded failed', 'both are in the history');
is(sql(q{SELECT last_error_at < last_success_at AND last_error LIKE '%repository%' FROM backup_status()}), 't',
	'backup_status(): the error is older than the success');

#
# A crash ends a run without a word of its own.
#
configure($node, 'backup_ext.max_rate' => '1MB');
my $crashed = start_slow_backup($node);
my $old = launcher_pid($node);
kill('KILL', sql('SELECT pid FROM backup_progress()')) == 1 or die 'nothing to kill';
launcher_after($node, $old, 'crash');
is(run_of("backup_id = '$crashed'", 'result, error'),
	'failed|the process that did it ended unexpectedly', 'a run that died is in the history');
configure($node, 'backup_ext.max_rate' => '0');
take_backup($node);
is(run_of("backup_id = '$crashed'", 'result'), 'failed', 'and after the next one too');
is(sql(q{SELECT count(*), count(DISTINCT job_id) FROM backup_history()}) =~ /^(\d+)\|\1$/, 1, 'each run once');

#
# Notices for who waits.
#
configure($node, 'backup_ext.max_rate' => '3MB');
my ($out, $err) = ('', '');
foreach my $case ([ 'notice', 1 ], [ 'warning', 0 ])
{
	my ($level, $expected) = @$case;
	IPC::Run::run(
		[ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', "SET client_min_messages = $level",
			'-c', "SELECT backup_now(kind => 'full')" ],
		'<', \undef, '>', \$out, '2>', \$err);
	if ($expected)
	{
		like($err, qr/^NOTICE:  backup \S+: copying files, \d+ % \(\d+ \w+ of \d+ \w+\), \d+ \w+\/s, \d+ s left, slowed by max_rate(?:, busy processors)?$/m,
			'notices tell how far it is');
	}
	else
	{
		is($err, '', 'unless they are not asked for');
	}
}
configure($node, 'backup_ext.max_rate' => '0');

#
# The history outlives a restore: it is that of the repository.
#
my $known = sql('SELECT count(*) FROM backup_history()');
my $copy = stage($node, 'latest');
ok(!-e "$copy->{directory}/backup_ext", 'what the server keeps of its runs is not in a backup');
is(sql('SELECT count(*) FROM backup_history()'), $known + 1, 'the restore adds itself');

# Unreadable reports are shown as such.
my ($report) = glob("$repository/history/*/*/*.json");
append_to_file($report, 'x');
is(sql(q{SELECT count(*) FROM backup_history() WHERE result = 'unreadable' AND error <> ''}), '1',
	'a damaged report does not hide the others');

done_testing();
