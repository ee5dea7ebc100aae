# A backup is worth what can be restored from it: each one here is restored, started and compared, while
# the server that it was taken from goes on working.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtTest qw(new_node repository start_load finish_load take_backup stage start_stage
  stop_stage staged_psql dump nothing_left_running is_clean_after repository_files wait_for);

my @pgbench_tables = map { ('-T', "pgbench_$_") } qw(accounts branches tellers history);

# What no load touches, of every kind that is kept differently.
sub create_unchanged
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE plain AS SELECT i, md5(i::text) AS text, now() - i * interval '1 hour' AS at
	FROM generate_series(1, 5000) i;
ALTER TABLE plain ADD PRIMARY KEY (i);
CREATE TABLE toasted AS SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 200) j)
	AS long FROM generate_series(1, 50) i;
CREATE TABLE documents AS SELECT i, jsonb_build_object('n', i, 'list', ARRAY[i, i + 1]) AS body
	FROM generate_series(1, 500) i;
CREATE INDEX ON documents USING gin (body);
SELECT count(lo_from_bytea(0, decode(repeat(md5(i::text), 500), 'hex'))) FROM generate_series(1, 5) i;
CREATE SEQUENCE numbers; SELECT nextval('numbers') FROM generate_series(1, 42);
CREATE TABLE held (i int PRIMARY KEY, note text); INSERT INTO held VALUES (1, 'one'), (2, 'two');
CREATE DATABASE empty_one; CREATE DATABASE other;
SQL
	$node->safe_psql('other', 'CREATE TABLE here AS SELECT generate_series(1, 100) AS i');
	return;
}

#
# Under load, WAL archiving off.
#
my $node = new_node('main', conf => { max_prepared_transactions => 10, autovacuum => 'off' });
create_unchanged($node);
# Two transactions share a row: its locker is a multixact, which must come through like they do.
foreach my $name (qw(first second))
{
	$node->safe_psql('postgres', qq{BEGIN; SELECT * FROM held WHERE i = 1 FOR SHARE;
		INSERT INTO held VALUES (100 + length('$name'), '$name'); PREPARE TRANSACTION '$name';});
}
my $unchanged = dump($node, 'postgres', @pgbench_tables);
my $unchanged_other = dump($node, 'other');

my $load = start_load($node);
my $label = qq{it's "odd"\n\tback\\slash \xC3\xA9\xE2\x82\xAC \$1};
my $first = take_backup($node, label => $label);
nothing_left_running($node, 'after a backup under load');

is( $node->safe_psql(
		'postgres', qq{SELECT backup_id, kind, trigger, state, duration > interval '0',
		finished_at >= started_at, database_bytes > 20000000, media_bytes,
		stored_bytes BETWEEN 1000000 AND database_bytes, stop_lsn > start_lsn, timeline,
		server_version = split_part(current_setting('server_version'), ' ', 1), error IS NULL
		FROM backup_list()}),
	"$first|full|manual|complete|t|t|t|0|t|t|1|t|t",
	'backup_list() tells what was taken');
is($node->safe_psql('postgres', q{SELECT encode(convert_to(label, 'UTF8'), 'hex') FROM backup_list()}),
	unpack('H*', $label), 'the label is kept byte for byte');

my $live = live_files($node, 'other', 'empty_one');
my $stage = stage($node);
leaves_live_files_alone($node, $live, $stage);
is($stage->{backup_id}, $first, 'the newest backup is the latest');
verify_stage($stage);
my $copy = start_stage($stage);
amcheck_copy($copy);
balances_agree($copy);
is(timeline_of($copy), 2, 'the copy is on a timeline of its own');
same_dump(dump($copy, 'postgres', @pgbench_tables), $unchanged, 'what did not change is equal by dump');
same_dump(dump($copy, 'other'), $unchanged_other, 'another database is equal by dump');
is(staged_psql($copy, 'empty_one', q{SELECT count(*) FROM pg_class WHERE oid >= 16384}), '0',
	'the empty database is there');

# The prepared transactions are there, and their locks.
is(staged_psql($copy, 'postgres', q{SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts}),
	'first second', 'prepared transactions are in the copy');
my (undef, $locked) = BackupExtTest::try_psql($copy, 'postgres',
	'SELECT * FROM held WHERE i = 1 FOR UPDATE NOWAIT');
like($locked, qr/could not obtain lock on row/, 'both still share the row that they had locked');
staged_psql($copy, 'postgres', "COMMIT PREPARED 'first'");
(undef, $locked) = BackupExtTest::try_psql($copy, 'postgres',
	'SELECT * FROM held WHERE i = 1 FOR UPDATE NOWAIT');
like($locked, qr/could not obtain lock on row/, 'one of two lockers is still there');
staged_psql($copy, 'postgres', "ROLLBACK PREPARED 'second'");
is(staged_psql($copy, 'postgres', 'SELECT i FROM held WHERE i = 1 FOR UPDATE NOWAIT'), '1',
	'nobody holds the row any more');
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM held'), '3',
	'what was committed is there, what was rolled back is not');

# A second one beside it, of another moment; the origin works on all the while.
my $deltas = $node->safe_psql('postgres', 'SELECT count(*) FROM pgbench_history');
$node->safe_psql('postgres', 'UPDATE plain SET text = upper(text) WHERE i = 17; CHECKPOINT');
my $changed = dump($node, 'postgres', @pgbench_tables);
my $second = take_backup($node);
my $second_stage = stage($node, 'latest');
is($second_stage->{backup_id}, $second, 'now the second backup is the latest');
verify_stage($second_stage);
my $second_copy = start_stage($second_stage);
isnt($second_copy->{host}, $copy->{host}, 'two copies run side by side, each with its own socket');
same_dump(dump($second_copy, 'postgres', @pgbench_tables), $changed, 'the second copy has the change');
cmp_ok(staged_psql($second_copy, 'postgres', 'SELECT count(*) FROM pgbench_history'),
	'>=', $deltas, 'the second copy has all that was committed before its backup');
amcheck_copy($second_copy);
balances_agree($second_copy);
balances_agree($copy);
is(staged_psql($copy, 'postgres', "SELECT text = upper(text) FROM plain WHERE i = 17"), 'f',
	'the first copy does not have it');
stop_stage($_) foreach ($copy, $second_copy);
verify_checksums($_) foreach ($stage, $second_stage);

finish_load($load);
$node->safe_psql('postgres', "SELECT backup_discard_stage('$_->{stage_id}')")
  foreach ($stage, $second_stage);
ok(!-e $_->{directory}, 'a discarded stage is gone') foreach ($stage, $second_stage);

prove_backup($node, $first, sub {
	my ($older) = @_;
	same_dump(dump($older, 'postgres', @pgbench_tables), $unchanged,
		'the older backup still gives the older content');
});

#
# Under load, WAL archiving on: no backup and no copy may add to the archive or wait for it.
#
my $archive = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', <<CONF);
archive_mode = on
archive_command = 'test ! -e $archive/closed && cp %p $archive/%f'
CONF
$node->restart;
$load = start_load($node, no_init => 1);
append_to_file("$archive/closed", '');
my $archived = take_backup($node, label => 'the archive is closed');
unlink("$archive/closed") or die;
finish_load($load);
wait_for($node, 'SELECT archived_count > 0 FROM pg_stat_archiver', 'the origin archives its WAL');
prove_backup($node, $archived, sub {
	my ($without_archive) = @_;
	balances_agree($without_archive);
	staged_psql($without_archive, 'postgres',
		'CREATE TABLE later AS SELECT 1 AS i; SELECT pg_switch_wal(); CHECKPOINT');
	is(staged_psql($without_archive, 'postgres', 'SHOW archive_mode'), 'off',
		'a copy does not archive');
});
my @foreign = grep { /^0000000[2-9]/ } slurp_dir($archive);
is_deeply(\@foreign, [], 'nothing of a copy came into the archive of its origin');
$node->stop;

#
# No checksums, small segments, and WAL that is recycled as fast as the server may: what the backup
# needs must be stored before it goes, and the slot must never hold much back.
#
my $no_checksums = $node->pg_version >= 18 ? ['--no-data-checksums'] : [];
my $small = new_node(
	'small',
	extra => [ '--wal-segsize=1', @$no_checksums ],
	conf => {
		max_wal_size => '2MB',
		min_wal_size => '2MB',
		max_slot_wal_keep_size => '4MB',
		autovacuum => 'off',
		'backup_ext.workers' => 2
	});
$small->safe_psql('postgres', 'CREATE TABLE churn AS SELECT i, md5(i::text) AS t
	FROM generate_series(1, 20000) i; ALTER TABLE churn ADD PRIMARY KEY (i)');
my $held = start_held_backup($small);
my $begun_at = $small->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
foreach my $round (1 .. 12)
{
	$small->safe_psql('postgres', "UPDATE churn SET t = md5(t) WHERE i <= 4000; CHECKPOINT");
	wait_for($small, q{SELECT count(*) = 1 FROM pg_replication_slots WHERE wal_status IN ('reserved', 'extended')
		AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < 2097152}, "round $round: the slot follows")
	  or last;
}
my $recycled = $small->safe_psql('postgres',
	qq{SELECT count(*) FROM pg_ls_waldir() WHERE name = pg_walfile_name('$begun_at')});
is($recycled, '0', 'WAL that the backup needs is gone from the server');
my $over_recycled = release_backup($held);
nothing_left_running($small, 'after WAL was recycled under a backup');
my $in_small = dump($small);
my $small_stage = prove_backup($small, $over_recycled, sub {
	my ($small_copy) = @_;
	same_dump(dump($small_copy), $in_small, 'a cluster without checksums, with segments of 1 MB, is equal by dump');
});
is(scalar(grep { /^[0-9A-F]{24}$/ && -s "$small_stage->{directory}/pg_wal/$_" != 1048576 }
		  slurp_dir("$small_stage->{directory}/pg_wal")), 0, 'its segments have 1 MB');
$small->stop;

#
# On a standby.
#
my $primary = new_node('primary', conf => { autovacuum => 'off' });
create_unchanged($primary);
$load = start_load($primary);
$primary->backup('seed');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'seed', has_streaming => 1);
my $of_standby = repository($standby);
$standby->append_conf('postgresql.conf', "backup_ext.repository = '$of_standby'");
$standby->start;
wait_for($standby, 'SELECT count(*) > 0 FROM pg_stat_wal_receiver', 'the standby streams');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $on_standby = take_backup($standby, label => 'on a standby');
nothing_left_running($standby, 'after a backup on a standby');
my $standby_stage = prove_backup($standby, $on_standby, sub {
	my ($of_copy) = @_;
	balances_agree($of_copy);
	same_dump(dump($of_copy, 'postgres', @pgbench_tables), dump($primary, 'postgres', @pgbench_tables),
		'what did not change on the primary is equal by dump');
	is(timeline_of($of_copy), 2, 'a copy of a standby is promoted onto a timeline of its own');
});
verify_checksums($standby_stage);

# Promoted while it is copied: what came before and after does not belong together.
my @before = repository_files($of_standby);
$standby->append_conf('postgresql.conf', "backup_ext.max_rate = '100kB'");
$standby->reload;
wait_for($standby, q{SELECT current_setting('backup_ext.max_rate') = '100kB'}, 'max_rate is 100kB');
# Nobody waits for it: the snapshot of a query that waits would hold up replay, and so the promotion.
my $log_before = -s $standby->logfile;
$standby->safe_psql('postgres', 'SELECT backup_now(wait => false)');
wait_for($standby, q{SELECT count(*) = 1 FROM backup_progress() WHERE phase = 'copying files'},
	'a backup copies the standby');
finish_load($load);
$standby->promote;
wait_for($standby, 'SELECT count(*) = 0 FROM backup_progress()',
	'a backup of a standby that is promoted meanwhile ends');
like(slurp_file($standby->logfile, $log_before),
	qr/ERROR:  the standby was promoted during the backup/, 'and says why');
is_clean_after($standby, 'promotion', \@before);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), '1',
	'no backup appeared in the list');
$standby->append_conf('postgresql.conf', 'backup_ext.max_rate = 0');
$standby->reload;
wait_for($standby, q{SELECT current_setting('backup_ext.max_rate') = '0'}, 'max_rate is 0');
prove_backup($standby, take_backup($standby), sub {
	my ($promoted) = @_;
	balances_agree($promoted);
	is(timeline_of($promoted), 3, 'a copy of the promoted server is on a third timeline');
});

done_testing();
