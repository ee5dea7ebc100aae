# A relation of more than 1 GB has more than one file. One row a page makes such a relation cheap: what lies
# in it is compressed away, and the WAL has only the rows.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtCompare qw(record_of);
use BackupExtJudges;
use BackupExtTest qw(new_node take_backup stage start_stage stop_stage staged_psql);

my $pages_of_a_segment = 131072;
my $rows = $pages_of_a_segment + 9000;
# Every row with its place: a page out of another file or from another block number shows.
my $content = q{SET work_mem = '64MB'; SELECT count(*), md5(string_agg(md5(ctid::text || i || text), '' ORDER BY ctid)) FROM large};
my $insert = q{INSERT INTO large SELECT i, repeat(md5(i::text), 22) FROM generate_series(%d, %d) i};

my $node = new_node('main', conf => { autovacuum => 'off', max_wal_size => '4GB' });
$node->safe_psql('postgres', 'CREATE TABLE large (i int PRIMARY KEY, text text) WITH (fillfactor = 10); '
	  . sprintf($insert, 1, $rows));
# Or the first look at the rows would change every page.
$node->safe_psql('postgres', 'VACUUM (FREEZE) large');
my $file = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('large')});
is($node->safe_psql('postgres', q{SELECT pg_relation_size('large') / 8192}), $rows, 'each row has its page');
my @full = files_are(1 << 30, 9000 * 8192);
my $full = take_backup($node, kind => 'full');
prove_large($full, 'full');

$node->safe_psql('postgres', q{UPDATE large SET text = repeat(md5(text), 22) WHERE i % 1000 = 0});
files_are(@full);
my $child = prove_child('rows of both files changed');
# All pages of the second file alone would be more.
cmp_ok(record_of($node, $child)->{stored_bytes} * 35, '<', record_of($node, $full)->{stored_bytes}, 'only the pages that changed are stored');

# The second file stays, and is empty.
$node->safe_psql('postgres', qq{DELETE FROM large WHERE i > $pages_of_a_segment - 5000; VACUUM (TRUNCATE) large});
files_are(($pages_of_a_segment - 5000) * 8192, 0);
prove_child('cut off below 1 GB');

# Other rows than those that the parents have on the same pages.
$node->safe_psql('postgres', sprintf($insert, 1_000_001, 1_000_000 + 12000));
files_are(1 << 30, 7000 * 8192);
my $last = prove_child('grown again beyond 1 GB');

my $export = PostgreSQL::Test::Utils::tempdir() . '/plain';
$node->safe_psql('postgres', "SELECT backup_export('$last', '$export')");
succeeds('pg_verifybackup accepts the export', 'pg_verifybackup', $export);
is(-s "$export/$file", 1 << 30, 'with the first file whole');
is(-s "$export/$file.1", 7000 * 8192, 'and the second one');
$node->stop;

done_testing();

# The sizes of the table's files in the server's directory.
sub files_are
{
	my (@sizes) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	my @files = ($file, map { "$file.$_" } 1 .. $#sizes);
	is_deeply([ map { -s $node->data_dir . "/$_" || 0 } @files ], \@sizes, 'the files of the table have ' . join(' and ', @sizes) . ' bytes');
	ok(-e $node->data_dir . "/$_", "there is a file $_") foreach @files;
	ok(!-e $node->data_dir . "/$file." . @sizes, 'and no file more');
	return @sizes;
}

sub prove_child
{
	my ($what) = @_;
	my $backup_id = take_backup($node, kind => 'incremental');
	is(record_of($node, $backup_id)->{kind}, 'incremental', "$what: an incremental backup");
	prove_large($backup_id, $what);
	return $backup_id;
}

sub prove_large
{
	my ($backup_id, $what) = @_;
	is(record_of($node, $backup_id)->{state}, 'complete', "$what: every page has the checksum of its place");
	is($node->safe_psql('postgres', "SELECT count(*) FROM backup_verify('$backup_id')"), '0', "$what: read back, too");
	my $expected = $node->safe_psql('postgres', $content);
	my $stage = stage($node, $backup_id);
	verify_stage($stage);
	is_deeply([ map { -s "$stage->{directory}/$_" || 0 } ($file, "$file.1") ],
		[ map { -s $node->data_dir . "/$_" || 0 } ($file, "$file.1") ],
		"$what: the files of the table have the same sizes");
	my $copy = start_stage($stage);
	is(staged_psql($copy, 'postgres', $content), $expected, "$what: the copy has every row in its place");
	amcheck_copy($copy);
	stop_stage($copy);
	verify_checksums($stage);
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
	return;
}
