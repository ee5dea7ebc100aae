# A whole restored copy against the server that it was taken from, and judges that look where a page
# too old, or taken from the wrong place, would show.
#
#   my $base = base_copy($node);                      # pg_basebackup: knows nothing of our code
#   my $expected = cluster_dump($node);               # right after a backup, when nothing ran
#   my $expected = dump_at($base, $stop_lsn);         # or after one under load
#   my $stage = restore_by_program($node, $backup_id);
#   prove_stage($stage, $expected, 'what it is');     # everything below, and pg_checksums
#   become_server($node, $stage);                     # go on with the copy in the node's place
package BackupExtCompare;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use BackupExtJudges qw(amcheck_copy databases_of same_dump succeeds verify_checksums verify_stage);
use BackupExtTest qw(repository staged_psql start_stage stop_stage try_psql);

our @EXPORT = qw(base_copy cluster_dump without_sequences dump_at restore_by_program prove_stage become_server
  visibility_is_sound scans_agree record_of);

# Text of pg_dumpall of a node or a copy. Rows come in the order of the pages, which a physical copy has
# too. Left out: keys made up at random, and where a tablespace lies, which is another place in a copy.
# Unlogged tables are empty in a copy.
sub cluster_dump
{
	my ($server) = @_;
	my ($host, $port) =
	  ref($server) eq 'HASH' ? ($server->{host}, $server->{port}) : ($server->host, $server->port);
	my ($output, $error) = run_command(
		[ 'pg_dumpall', '-h', $host, '-p', $port, '--no-unlogged-table-data' ]);
	die "pg_dumpall failed: $error\n" if $error ne '' || $output eq '';
	my @lines = grep { !/^\\(un)?restrict / } split(/\n/, $output);
	s/^(CREATE TABLESPACE .*) LOCATION .*/$1/ foreach @lines;
	return join("\n", @lines) . "\n";
}

# A sequence's WAL is 32 values ahead of its page. A copy that began its recovery later saw the page.
sub without_sequences
{
	my ($dump) = @_;
	return join("\n", grep { !/^SELECT pg_catalog\.setval\(/ } split(/\n/, $dump)) . "\n";
}

# A physical copy that dump_at() recovers to a later moment, from WAL that the node still has to have
# then (wal_keep_size).
sub base_copy
{
	my ($node) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('base_copy');
	my $number = 0;
	# Not those in place.
	my @mapping = map { $number++; ('-T', "$_=$directory/tablespace_$number") }
	  split(/\n/, $node->safe_psql('postgres',
			q{SELECT location FROM pg_tablespace, pg_tablespace_location(oid) AS location
			  WHERE location LIKE '/%'}));
	succeeds('pg_basebackup makes a copy to compare with', 'pg_basebackup', '-D', "$directory/data",
		'-R', '-c', 'fast', '-X', 'none', '--no-sync', '-h', $node->host, '-p', $node->port,
		@mapping);
	return { node => $node, directory => $directory };
}

# The cluster_dump() of that copy when it has replayed all that ends at or before $lsn and nothing
# else: what a backup that stopped there shows.
sub dump_at
{
	my ($base, $lsn) = @_;
	my $socket = PostgreSQL::Test::Utils::tempdir_short();
	my $data = "$base->{directory}/data";
	append_to_file("$data/postgresql.auto.conf", <<"CONF");
shared_preload_libraries = ''
listen_addresses = ''
unix_socket_directories = '$socket'
port = 5432
recovery_target_lsn = '$lsn'
recovery_target_inclusive = off
recovery_target_action = pause
CONF
	succeeds('the copy to compare with starts', 'pg_ctl', '-D', $data, '-l',
		"$base->{directory}/log", '-w', 'start');
	my $copy = { host => $socket, port => 5432 };
	my $paused = '';
	foreach my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		($paused) = try_psql($copy, 'postgres', 'SELECT pg_get_wal_replay_pause_state()');
		last if $paused eq 'paused';
		usleep(100_000);
	}
	is($paused, 'paused', "the copy to compare with stands at $lsn");
	my $dump = cluster_dump($copy);
	succeeds('and stops', 'pg_ctl', '-D', $data, '-m', 'immediate', '-w', 'stop');
	return without_sequences($dump);
}

# The same hash as from stage(), without asking the server.
sub restore_by_program
{
	my ($node, $backup_id, $directory) = @_;
	$directory //= PostgreSQL::Test::Utils::tempdir('restored') . '/data';
	my $output = succeeds("the program restores $backup_id", 'backup_ext', '--repository',
		repository($node), 'restore', $backup_id, $directory, '--bindir',
		$node->config_data('--bindir'));
	my ($start_command) = $output =~ /^\s+(\S*pg_ctl'? .*)$/m;
	return {
		stage_id => "by_program_$backup_id",
		directory => $directory,
		backup_id => $backup_id,
		start_command => $start_command
	};
}

# Starts a stage, has everything about it judged, and stops it. $expected is a cluster_dump(), one
# without sequences, or nothing. look => code($copy) comes first.
sub prove_stage
{
	my ($stage, $expected, $what, %options) = @_;
	verify_stage($stage);
	my $copy = start_stage($stage);
	$options{look}->($copy) if defined $options{look};
	if (defined $expected)
	{
		my $dump = cluster_dump($copy);
		$dump = without_sequences($dump) if $expected eq without_sequences($expected);
		same_dump($dump, $expected, "$what: equal by dump");
	}
	# They hold rows, and before 17 pg_check_visible() takes those of one database for all.
	staged_psql($copy, 'postgres', "ROLLBACK PREPARED '$_'")
	  foreach split(/\n/, staged_psql($copy, 'postgres', 'SELECT gid FROM pg_prepared_xacts'));
	amcheck_copy($copy);
	visibility_is_sound($copy, $what);
	scans_agree($copy, $what);
	# A bit of the visibility map that the page does not know of is not cleared by an update.
	change_everything($copy);
	scans_agree($copy, "$what, after changes");
	stop_stage($copy);
	my ($checksums) = run_command([ 'pg_controldata', '-D', $stage->{directory} ]);
	verify_checksums($stage) if $checksums =~ /^Data page checksum version:\s+1$/m;
	return;
}

# The map's bits against the rows, and against the page's own flag (a bit without the flag outlives the
# next change of the page).
sub visibility_is_sound
{
	my ($copy, $what) = @_;
	foreach my $database (databases_of($copy))
	{
		staged_psql($copy, $database,
			'SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS pg_visibility');
		my $wrong = staged_psql($copy, $database, <<'SQL');
WITH kept AS MATERIALIZED (SELECT oid::regclass AS relation FROM pg_class
	WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p')
SELECT relation, 'not visible to all', tid::text FROM kept, pg_check_visible(relation) AS tid
UNION ALL SELECT relation, 'not frozen', tid::text FROM kept, pg_check_frozen(relation) AS tid
UNION ALL SELECT relation, 'the page lacks the flag', blkno::text FROM kept, pg_visibility(relation)
	WHERE (all_visible OR all_frozen) AND NOT pd_all_visible
SQL
		staged_psql($copy, $database, 'DROP EXTENSION pg_visibility');
		is($wrong, '', "$what: the visibility maps of $database are sound");
	}
	return;
}

# For every table with an index of a known kind: what the index finds is what a sequential scan finds.
# The columns are those of BackupExtPropertyActions: k has the primary key, and where they have an
# index, v a BRIN, tags a GIN, t a hash.
my $differing_scans = <<'SQL';
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.found(query text, method text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	PERFORM set_config('enable_seqscan', (method = 'heap')::text, true),
		set_config('enable_indexscan', (method = 'btree')::text, true),
		set_config('enable_indexonlyscan', (method = 'btree')::text, true),
		set_config('enable_bitmapscan', (method IN ('brin', 'gin', 'hash'))::text, true);
	EXECUTE query INTO result;
	RETURN result;
END $$;
SELECT relation, method, by_index || ' instead of ' || by_heap FROM (
	SELECT relation, method, pg_temp.found(query, method) AS by_index, pg_temp.found(query, 'heap') AS by_heap
	FROM (
		SELECT i.indrelid::regclass AS relation, m.amname AS method, format(
			CASE WHEN m.amname = 'btree' THEN 'SELECT count(k) || '':'' || coalesce(sum(k), 0) FROM %s WHERE k > -1'
				WHEN m.amname = 'brin' THEN 'SELECT count(*) || '':'' || coalesce(sum(v), 0) FROM %s WHERE v BETWEEN 3 AND 300'
				WHEN m.amname = 'gin' THEN 'SELECT count(*) || '':'' || coalesce(sum(k), 0) FROM %s WHERE tags @> ARRAY[7]'
				ELSE 'SELECT count(*) || '':'' || coalesce(sum(k), 0) FROM %s WHERE t = ''x7''' END,
			i.indrelid::regclass) AS query
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE (m.amname, a.attname) IN (('btree', 'k'), ('brin', 'v'), ('gin', 'tags'), ('hash', 't'))
			AND c.relnamespace = 'public'::regnamespace) AS queries) AS answers
WHERE by_index IS DISTINCT FROM by_heap
SQL

sub scans_agree
{
	my ($copy, $what) = @_;
	foreach my $database (databases_of($copy))
	{
		is(staged_psql($copy, $database, $differing_scans), '',
			"$what: indexes of $database find what sequential scans find");
	}
	return;
}

# In every table with a primary key on k, rows of every page.
sub change_everything
{
	my ($copy) = @_;
	foreach my $database (databases_of($copy))
	{
		staged_psql($copy, $database, <<'SQL');
DO $$ DECLARE relation regclass;
BEGIN
	FOR relation IN SELECT indrelid::regclass FROM pg_index JOIN pg_attribute
		ON attrelid = indrelid AND attnum = indkey[0] WHERE attname = 'k' AND indisprimary
	LOOP
		EXECUTE format('DELETE FROM %s WHERE k %% 17 = 3', relation);
	END LOOP;
END $$
SQL
	}
	return;
}

# Puts a stage that was proven in the place of the node's data directory, as doc/operations.md tells,
# and starts it: a server on a timeline of its own that goes on with the same repository.
sub become_server
{
	my ($node, $stage) = @_;
	my $data = $node->data_dir;
	$node->stop('immediate');
	my $old = PostgreSQL::Test::Utils::tempdir('replaced') . '/data';
	rename($data, $old) or die "could not rename \"$data\": $!";
	rename($stage->{directory}, $data) or die "could not rename \"$stage->{directory}\": $!";
	system_or_bail('cp', "$data/backup_ext_stage/postgresql.auto.conf", "$data/postgresql.auto.conf");
	system_or_bail('rm', '-rf', "$data/backup_ext_stage",
		"$stage->{directory}.tablespaces/backup_ext_stage");
	$node->start;
	return $old;
}

# The record of a backup as a hash, by its file.
sub record_of
{
	my ($node, $backup_id) = @_;
	require JSON::PP;
	return JSON::PP::decode_json(
		slurp_file(repository($node) . "/backups/$backup_id/record.json"));
}

1;
