# backup_cron() with the real pg_cron.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest qw(fails_with);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'pg_cron is not installed' unless -e "$share/extension/pg_cron.control";

# Without it.
my $bare = BackupExtTest::new_node('bare');
fails_with($bare, q{SELECT backup_cron('0 3 * * *')}, '55000', 'pg_cron is not installed in database "postgres"',
	'add pg_cron to shared_preload_libraries', 'without pg_cron');
fails_with($bare, q{SELECT backup_cron_remove('x')}, '55000', 'pg_cron is not installed in database "postgres"',
	'add pg_cron to shared_preload_libraries', 'without pg_cron, remove');
$bare->stop;

my $node = BackupExtTest::new_node('main',
	conf => {
		shared_preload_libraries => 'backup_ext, pg_cron',
		'cron.database_name' => 'postgres',
		'cron.use_background_workers' => 'on',
		timezone => 'UTC'
	});
fails_with($node, q{SELECT backup_cron('0 3 * * *')}, '55000', 'pg_cron is not installed in database "postgres"',
	'Run CREATE EXTENSION pg_cron', 'not created');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
$node->safe_psql('other', 'CREATE SCHEMA cron; CREATE EXTENSION backup_ext');
my ($status, $out, $err) = $node->psql('other', q{SELECT backup_cron('0 3 * * *')});
like($err, qr/pg_cron is not installed in database "other"\n.*pg_cron keeps its jobs in database "postgres"/,
	'in another database: where it is');

# Arguments are judged now, not at night.
($status, $out, $err) = $node->psql('postgres', q{SELECT backup_cron('every night')});
like($err, qr/invalid schedule: every night/, 'a schedule that is none');
fails_with($node, q{SELECT backup_cron('0 3 * * *', kind => 'differential')}, '22023',
	'invalid kind of backup: "differential"', 'Kinds are', 'a kind that is none');
fails_with($node, q{SELECT backup_cron(NULL)}, '22004', 'schedule must not be null', undef, 'no schedule');
fails_with($node, q{SELECT backup_cron('0 3 * * *', NULL)}, '22004', 'name must not be null', undef, 'no name');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'nothing was scheduled');

# Jobs are pg_cron's: seen there, changed by their name, kept over a restart.
my $job = $node->safe_psql('postgres', q{SELECT backup_cron('0 3 * * *')});
is($node->safe_psql('postgres', 'SELECT jobid, jobname, schedule, command, database, active FROM cron.job'),
	"$job|backup_ext|0 3 * * *|SELECT public.backup_now(label => 'pg_cron', kind => 'auto', include_media => false)|postgres|t",
	'the job in cron.job');
my $hourly = $node->safe_psql('postgres',
	q{SELECT backup_cron('17 * * * *', name => 'hourly', kind => 'incremental')});
is($node->safe_psql('postgres', q{SELECT backup_cron('* * * * *')}), $job, 'the same name: the same job');
$node->restart;
is($node->safe_psql('postgres', 'SELECT jobname, schedule FROM cron.job ORDER BY jobid'),
	"backup_ext|* * * * *\nhourly|17 * * * *", 'a restart keeps both');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM backup_list()
	WHERE label = 'pg_cron' AND state = 'complete'}), 'the job runs');
ok($node->poll_query_until('postgres', qq{SELECT count(*) > 0 FROM cron.job_run_details
	WHERE jobid = $job AND status = 'succeeded'}), 'and pg_cron knows that it went well');

is($node->safe_psql('postgres', 'SELECT backup_cron_remove()'), 't', 'the default name is removed');
is($node->safe_psql('postgres', 'SELECT backup_cron_remove()'), 'f', 'once');
is($node->safe_psql('postgres', q{SELECT backup_cron_remove('hourly')}), 't', 'and the other one');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'no job is left');

# With the rights of who calls.
$node->safe_psql('postgres', q{CREATE ROLE planner LOGIN;
	GRANT EXECUTE ON FUNCTION backup_cron(text, text, text, boolean), backup_cron_remove(text) TO planner});
($status, $out, $err) = $node->psql('postgres', q{SET ROLE planner; SELECT backup_cron('0 3 * * *')});
like($err, qr/permission denied for schema cron/, 'who may not use pg_cron may not by this either');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA cron TO planner');
$node->safe_psql('postgres', q{SET ROLE planner; SELECT backup_cron('0 3 * * *')});
is($node->safe_psql('postgres', 'SELECT username FROM cron.job'), 'planner', 'a job is its maker\'s');
is($node->safe_psql('postgres', q{SELECT backup_cron_remove()}), 'f', 'and nobody else\'s to remove');
is($node->safe_psql('postgres', q{SET ROLE planner; SELECT backup_cron_remove()}), 't', 'but his own');

done_testing();
