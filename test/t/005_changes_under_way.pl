# Everything changes while it is copied: files come, grow, shrink and go, and so do whole databases and
# tablespaces. Each backup is restored and must be what the WAL makes of it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtTest qw(new_node stage start_stage stop_stage staged_psql dump wait_for nothing_left_running);

my $locations = PostgreSQL::Test::Utils::tempdir();
my $node = new_node(
	'main',
	conf => {
		autovacuum => 'off',
		allow_in_place_tablespaces => 'on',
		max_wal_size => '64MB',
		'backup_ext.workers' => 2
	});
# Something that takes a while to copy, and does not change.
$node->safe_psql('postgres', q{CREATE TABLE steady AS SELECT i, md5(i::text) AS t
	FROM generate_series(1, 30000) i; ALTER TABLE steady ADD PRIMARY KEY (i);
	CREATE FUNCTION rows_of(i int) RETURNS TABLE (n int, t text) LANGUAGE sql
		AS $$ SELECT i + n, md5(n::text) FROM generate_series(1, 1000) n $$});
my $steady = dump($node, 'postgres', '-t', 'steady');

# Each client works on objects of its own. So that every round leaves something, the objects of the
# round before go only in the next one.
my @storms = (
	{
		name => 'tables come and go',
		clients => 3,
		rounds => 40,
		sql => <<'SQL'
DROP TABLE IF EXISTS t_:client_id;
CREATE TABLE t_:client_id (n int PRIMARY KEY, t text);
INSERT INTO t_:client_id SELECT * FROM rows_of(:client_id);
CREATE INDEX ON t_:client_id (t);
SQL
	},
	{
		name => 'tables are rewritten, cut off and extended',
		clients => 3,
		rounds => 40,
		sql => <<'SQL'
CREATE TABLE IF NOT EXISTS r_:client_id (n int, t text);
INSERT INTO r_:client_id SELECT * FROM rows_of(:client_id);
CREATE INDEX IF NOT EXISTS r_index_:client_id ON r_:client_id (t);
DELETE FROM r_:client_id WHERE n > 500;
VACUUM r_:client_id;
INSERT INTO r_:client_id SELECT * FROM rows_of(:client_id);
VACUUM FULL r_:client_id;
CLUSTER r_:client_id USING r_index_:client_id;
TRUNCATE r_:client_id;
INSERT INTO r_:client_id SELECT * FROM rows_of(:client_id);
SQL
	},
	{
		name => 'tables become unlogged and logged again',
		clients => 3,
		rounds => 40,
		sql => <<'SQL'
CREATE TABLE IF NOT EXISTS u_:client_id (n int PRIMARY KEY, t text);
ALTER TABLE u_:client_id SET LOGGED;
INSERT INTO u_:client_id SELECT n + (SELECT coalesce(max(n), 0) FROM u_:client_id), t FROM rows_of(0);
ALTER TABLE u_:client_id SET UNLOGGED;
INSERT INTO u_:client_id SELECT n + (SELECT coalesce(max(n), 0) FROM u_:client_id), t FROM rows_of(0);
ALTER TABLE u_:client_id SET LOGGED;
CREATE UNLOGGED TABLE IF NOT EXISTS short_:client_id (n int);
INSERT INTO short_:client_id VALUES (1);
DROP TABLE short_:client_id;
DELETE FROM u_:client_id WHERE n > 3000;
SQL
	},
	{
		name => 'databases come and go',
		clients => 2,
		rounds => 8,
		sql => <<'SQL'
DROP DATABASE IF EXISTS d_:client_id;
CREATE DATABASE d_:client_id STRATEGY wal_log;
DROP DATABASE IF EXISTS f_:client_id;
SELECT pg_advisory_lock(1);
CREATE DATABASE f_:client_id TEMPLATE template0 STRATEGY file_copy;
SELECT pg_advisory_unlock(1);
SQL
	},
	{
		name => 'tablespaces come and go, and tables move',
		clients => 2,
		rounds => 12,
		sql => <<"SQL"
DROP TABLE IF EXISTS m_:client_id;
DROP TABLESPACE IF EXISTS s_:client_id;
DROP TABLESPACE IF EXISTS p_:client_id;
CREATE TABLESPACE s_:client_id LOCATION '$locations/:client_id';
CREATE TABLESPACE p_:client_id LOCATION '';
CREATE TABLE m_:client_id (n int PRIMARY KEY, t text) TABLESPACE s_:client_id;
INSERT INTO m_:client_id SELECT * FROM rows_of(:client_id);
ALTER TABLE m_:client_id SET TABLESPACE p_:client_id;
ALTER TABLE m_:client_id SET TABLESPACE pg_default;
ALTER TABLE m_:client_id SET TABLESPACE s_:client_id;
SQL
	});
mkdir("$locations/$_") or die foreach (0, 1);

foreach my $case (@storms)
{
	my $name = $case->{name};
	my $storm = start_storm($node, $case->{sql}, $case->{clients});
	wait_for_storm($storm, $case->{clients}, "$name: the storm has begun");
	# Copies some while the storm goes on, and cannot end before.
	my $held = start_held_backup($node, '400kB');
	wait_for_storm($storm, $case->{rounds}, "$name: it goes on while files are copied");
	my $backup_id = release_backup($held);
	finish_storm($storm);
	nothing_left_running($node, $name);

	my $stage = prove_backup($node, $backup_id, sub {
		my ($copy) = @_;
		same_dump(dump($copy, 'postgres', '-t', 'steady'), $steady,
			"$name: what did not change is equal by dump");
		ok(dump($copy, $_) ne '', "$name: database $_ can be dumped") foreach databases_of($copy);
		# Index and table agree, and a second round finds nothing in its way.
		staged_psql($copy, 'postgres', 'CREATE TABLE after AS SELECT * FROM steady; CHECKPOINT');
	});
	verify_checksums($stage);
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
	drop_leftovers($node);
}

sub drop_leftovers
{
	my ($node) = @_;
	$node->safe_psql('postgres', $_)
	  foreach (
		map { split(/\n/, $node->safe_psql('postgres', $_)) } (
			q{SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE datname ~ '^[df]_\d$'},
			q{SELECT format('DROP TABLE %I', relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^(m|t|r|u|short)_\d$'},
			q{SELECT format('DROP TABLESPACE %I', spcname) FROM pg_tablespace WHERE spcname ~ '^[sp]_\d$'}));
	return;
}

#
# Whatever waits for every process of the server must not wait for a backup. The limit is there to
# fail instead of to hang.
#
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
$node->safe_psql('postgres', "CREATE TABLESPACE moved LOCATION ''");
$node->safe_psql('dropped', 'CREATE TABLE t AS SELECT generate_series(1, 10000) AS i');
my $held = start_held_backup($node);
foreach my $statement (
	'ALTER DATABASE dropped SET TABLESPACE moved',
	'ALTER DATABASE dropped SET TABLESPACE pg_default',
	'DROP TABLESPACE moved', 'DROP DATABASE dropped')
{
	my ($status, $output, $error) = finish_psql(
		start_psql($node, $statement, 'postgres', statement_timeout => '20s'));
	is($status, 0, "$statement does not wait for a backup") or diag($error);
}
my $backup_id = release_backup($held);
prove_backup($node, $backup_id, sub {
	my ($copy) = @_;
	is(staged_psql($copy, 'postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'dropped'}), '0',
		'a database that was dropped meanwhile is not in the copy');
});

#
# A number of a file is used again, for another relation, while the old file is in the queue.
#
$node->safe_psql('postgres', 'CREATE DATABASE again');
$node->safe_psql('again', 'CREATE TABLE old AS SELECT generate_series(1, 20000) AS i');
$held = start_held_backup($node);
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'again'});
$node->safe_psql('postgres', 'DROP DATABASE again');
$node->safe_psql('postgres', "CREATE DATABASE again OID $oid");
$node->safe_psql('again', q{CREATE TABLE new AS SELECT 'new ' || i AS t FROM generate_series(1, 3000) i;
	CREATE INDEX ON new (t)});
my $again = dump($node, 'again');
$backup_id = release_backup($held);
prove_backup($node, $backup_id, sub {
	my ($copy) = @_;
	same_dump(dump($copy, 'again'), $again, 'a database made again under the same number is the new one');
});

done_testing();
