# What happens between a backup and the next one, as a table: each line is a way in which a page can change, or
# come to lie under a name that had another page, without telling everyone.
#
# before   SQL in database postgres, or code($node): made before the parent
# between  the same: after the parent and before its child
# same     SQL in database postgres whose answer is the same in the copy
# Names of tables and databases are the scenario's own. Indexes and visibility maps of all tables are
# looked at anyway (BackupExtCompare), and everything is compared by dump.
package BackupExtScenarios;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(@scenarios);

# A table like those of the random test, filled.
sub table
{
	my ($name, $rows, $persistence) = @_;
	$persistence //= '';
	return "CREATE $persistence TABLE $name (k int PRIMARY KEY, v int, tags int[], t text, pad text);"
	  . "INSERT INTO $name SELECT * FROM rows_of(0, $rows, 1);";
}

sub bits_of
{
	my ($name) = @_;
	return "SELECT all_visible, all_frozen FROM pg_visibility_map_summary('$name')";
}

# A table whose pages the visibility map has all of.
sub frozen_table
{
	my ($name) = @_;
	return table($name, 500) . "\nVACUUM (FREEZE) $name;";
}

our @scenarios = (
	{
		name => 'nothing',
		before => table('steady', 3000),
		between => '',
	},
	# The flag on the page has no LSN of its own where hint bits have none.
	{
		name => 'vacuum sets the flag of pages that it does not change',
		before => table('flagged', 3000) . 'SELECT count(*) FROM flagged; CHECKPOINT;',
		between => 'VACUUM flagged;',
		same => bits_of('flagged'),
	},
	{
		name => 'vacuum, then changes of the pages it flagged',
		before => table('flagged_twice', 3000),
		between => 'VACUUM flagged_twice; CHECKPOINT; UPDATE flagged_twice SET v = 0 WHERE k % 1000 = 1;',
		same => bits_of('flagged_twice'),
	},
	{
		name => 'hint bits alone',
		before => table('hinted', 3000) . 'CHECKPOINT;',
		between => 'SELECT count(*) FROM hinted; CHECKPOINT;',
	},
	# Before 17.11 and 18.5 the record that clears a bit of the map does not name the map's page.
	{
		name => 'an insert clears bits of the map',
		before => frozen_table('vm_insert'),
		between => q{INSERT INTO vm_insert SELECT * FROM rows_of(500, 1, 1);},
		same => bits_of('vm_insert'),
	},
	{
		name => 'a delete clears bits of the map',
		before => frozen_table('vm_delete'),
		between => 'DELETE FROM vm_delete WHERE k = 7;',
		same => bits_of('vm_delete'),
	},
	{
		name => 'updates clear bits of the map, on one page and on two',
		before => frozen_table('vm_update'),
		between => q{UPDATE vm_update SET v = 0 WHERE k = 7; ALTER TABLE vm_update ALTER pad SET STORAGE PLAIN;
			UPDATE vm_update SET pad = repeat('b', 4000) WHERE k = 300;},
		same => bits_of('vm_update'),
	},
	{
		name => 'a lock clears a bit of the map',
		before => frozen_table('vm_lock'),
		between => 'BEGIN; SELECT k FROM vm_lock WHERE k = 7 FOR UPDATE; COMMIT;',
		same => bits_of('vm_lock'),
	},
	{
		name => 'COPY clears a bit of the map',
		before => frozen_table('vm_copy'),
		between => q{COPY vm_copy (k) FROM PROGRAM 'echo 4242';},
		same => bits_of('vm_copy'),
	},
	# What was cut off must not come back from the parent.
	{
		name => 'the end is cut off',
		before => table('cut', 5000),
		between => 'DELETE FROM cut WHERE k > 100; VACUUM (TRUNCATE) cut;',
		same => q{SELECT pg_relation_size('cut'), pg_relation_size('cut', 'vm')},
	},
	{
		name => 'the end is cut off and grows again',
		before => table('regrown', 5000),
		between => q{DELETE FROM regrown WHERE k > 100; VACUUM (TRUNCATE) regrown;
			INSERT INTO regrown SELECT * FROM rows_of(10000, 3000, 2);},
	},
	{
		name => 'truncated and filled with as much',
		before => table('refilled', 2000),
		between => 'TRUNCATE refilled; INSERT INTO refilled SELECT * FROM rows_of(0, 2000, 2);',
	},
	{
		name => 'rewritten in another order',
		before => table('rewritten', 2000) . 'CREATE INDEX rewritten_pad ON rewritten (pad);',
		between => 'CLUSTER rewritten USING rewritten_pad; VACUUM FULL rewritten;',
	},
	{
		name => 'dropped and made again',
		before => table('again', 2000),
		between => 'DROP TABLE again;' . table('again', 1500),
	},
	# Only pg_xact and pg_multixact know.
	{
		name => 'transactions end whose rows the parent has',
		before => [ table('ended', 10),
			q{BEGIN; INSERT INTO ended SELECT * FROM rows_of(100, 10, 1); PREPARE TRANSACTION 'to commit';},
			q{BEGIN; INSERT INTO ended SELECT * FROM rows_of(200, 10, 1); PREPARE TRANSACTION 'to roll back';},
			q{BEGIN; DELETE FROM ended WHERE k < 5; PREPARE TRANSACTION 'to stay';} ],
		between => [ q{COMMIT PREPARED 'to commit';}, q{ROLLBACK PREPARED 'to roll back';} ],
		same => 'SELECT gid FROM pg_prepared_xacts ORDER BY 1',
	},
	# The main fork of an unlogged table is in no backup.
	{
		name => 'an unlogged table becomes logged',
		before => table('became_logged', 1000, 'UNLOGGED'),
		between => 'ALTER TABLE became_logged SET LOGGED;',
		same => 'SELECT count(*) FROM became_logged',
	},
	{
		name => 'a logged table becomes unlogged',
		before => table('became_unlogged', 1000),
		between => 'ALTER TABLE became_unlogged SET UNLOGGED;',
	},
	{
		name => 'a logged table becomes unlogged and logged again',
		before => table('to_and_fro', 1000),
		between => q{ALTER TABLE to_and_fro SET UNLOGGED; UPDATE to_and_fro SET v = 1; ALTER TABLE to_and_fro SET LOGGED;},
	},
	# Indexes, with pages that are not of a heap.
	{
		name => 'indexes of every kind are changed',
		before => table('indexed', 3000) . q{CREATE INDEX ON indexed USING gin (tags);
			CREATE INDEX ON indexed USING hash (t);
			CREATE INDEX ON indexed USING brin (v) WITH (pages_per_range = 4);},
		between => q{INSERT INTO indexed SELECT * FROM rows_of(3000, 2000, 2); DELETE FROM indexed WHERE k % 5 = 0;
			SELECT brin_summarize_new_values('indexed_v_idx'); SELECT gin_clean_pending_list('indexed_tags_idx');},
	},
	{
		name => 'indexes of every kind are made',
		before => table('to_index', 3000),
		between => q{CREATE INDEX ON to_index USING gin (tags); CREATE INDEX ON to_index USING hash (t);
			CREATE INDEX ON to_index USING brin (v); REINDEX TABLE to_index;},
	},
	# Built with a made-up LSN on its pages.
	{
		name => 'a GiST index is made, another changed',
		before => q{CREATE TABLE points AS SELECT i AS id, point(i % 100, i / 100) AS place, point(i % 70, i / 70) AS other
			FROM generate_series(1, 5000) i; CREATE INDEX ON points USING gist (place);},
		between => q{CREATE INDEX ON points USING gist (other);
			INSERT INTO points SELECT i, point(i % 100, i / 90), point(i % 7, i) FROM generate_series(5001, 6000) i;},
		same => q{SET enable_seqscan = off; SELECT count(*), sum(id) FROM points WHERE place <@ box '(3,3),(30,30)';
			SELECT count(*), sum(id) FROM points WHERE other <@ box '(3,3),(30,30)';},
	},
	# Found through pg_filenode.map, not through the catalog.
	{
		name => 'mapped catalogs are rewritten',
		before => '',
		between => 'VACUUM FULL pg_class; REINDEX TABLE pg_attribute; VACUUM FULL pg_authid;',
	},
	{
		name => 'a sequence goes on, another begins again',
		before => 'CREATE SEQUENCE goes_on; CREATE SEQUENCE begins_again; SELECT nextval(\'goes_on\'), nextval(\'begins_again\');',
		between => 'SELECT nextval(\'goes_on\') FROM generate_series(1, 50); ALTER SEQUENCE begins_again RESTART WITH 1000;',
	},
	{
		name => 'large objects are changed and unlinked',
		before => q{SELECT lo_from_bytea(4000000 + i, convert_to(repeat(md5(i::text), 500), 'UTF8')) FROM generate_series(1, 5) i;},
		between => q{SELECT lo_put(4000001, 5000, '\x0102'), lo_truncate(lo_open(4000002, 131072), 3000), lo_unlink(4000003);},
	},
	# Tables and databases move.
	{
		name => 'a table and an index change the tablespace',
		before => table('moved', 2000) . table('moved_back', 2000) . q{ALTER TABLE moved_back SET TABLESPACE s1;},
		between => q{ALTER TABLE moved SET TABLESPACE s1; ALTER INDEX moved_pkey SET TABLESPACE s2;
			ALTER TABLE moved_back SET TABLESPACE pg_default;},
	},
	{
		name => 'a database changes the tablespace, another comes back',
		before => sub {
			my ($node) = @_;
			make_database($node, 'mover', 1);
			make_database($node, 'returner', 1);
			$node->safe_psql('postgres', 'ALTER DATABASE returner SET TABLESPACE s2');
		},
		between => [ 'ALTER DATABASE mover SET TABLESPACE s1;', 'ALTER DATABASE returner SET TABLESPACE pg_default;' ],
	},
	{
		name => 'a tablespace is dropped and made again in its place',
		before => sub {
			my ($node) = @_;
			my $location = PostgreSQL::Test::Utils::tempdir('place');
			$node->safe_psql('postgres', "CREATE TABLESPACE remade LOCATION '$location'");
			$node->safe_psql('postgres', 'CREATE TABLE in_remade TABLESPACE remade AS SELECT 1 AS k');
		},
		between => sub {
			my ($node) = @_;
			my $location = $node->safe_psql('postgres',
				q{SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'remade'});
			$node->safe_psql('postgres', 'DROP TABLE in_remade');
			$node->safe_psql('postgres', 'DROP TABLESPACE remade');
			$node->safe_psql('postgres', "CREATE TABLESPACE remade LOCATION '$location'");
			$node->safe_psql('postgres', 'CREATE TABLE in_remade TABLESPACE remade AS SELECT 2 AS k');
		},
	},
	# Copied file by file: pages with old LSNs under a new, or under an old name.
	{
		name => 'a database is copied file by file',
		before => sub { make_database($_[0], 'original', 1) },
		between => 'CREATE DATABASE twin TEMPLATE original STRATEGY file_copy;',
	},
	{
		name => 'a database is copied page by page',
		before => sub { make_database($_[0], 'original_2', 1) },
		between => 'CREATE DATABASE twin_2 TEMPLATE original_2 STRATEGY wal_log;',
	},
	{
		name => 'an empty database comes under the number of a full one',
		before => sub { make_database($_[0], 'lakh', 1, 'OID 100000') },
		between => [ 'DROP DATABASE lakh;', 'CREATE DATABASE lakh OID 100000 STRATEGY file_copy;' ],
	},
	{
		name => 'a twin comes under the number, the file names and the inodes of a database',
		before => sub {
			my ($node) = @_;
			make_database($node, 'first_twin', 1);
			$node->safe_psql('postgres', 'CREATE DATABASE second_twin TEMPLATE first_twin STRATEGY file_copy');
			$node->safe_psql('second_twin', 'UPDATE here SET v = -1, pad = md5(k::text); VACUUM here');
			$node->safe_psql('postgres', 'CREATE DATABASE victim OID 100001 TEMPLATE first_twin STRATEGY file_copy');
		},
		between => sub {
			my ($node) = @_;
			my $file = $node->data_dir . '/' . $node->safe_psql('victim', q{SELECT pg_relation_filepath('here')});
			my $inode = (stat($file))[1];
			# A file system gives the number of a file that went to the next one that comes, often.
			foreach my $attempt (1 .. 10)
			{
				$node->safe_psql('postgres', 'DROP DATABASE victim');
				$node->safe_psql('postgres', 'CREATE DATABASE victim OID 100001 TEMPLATE second_twin STRATEGY file_copy');
				last if (stat($file))[1] == $inode;
			}
			Test::More::note('inode of the victim: ' . ((stat($file))[1] == $inode ? 'the same' : 'another'));
		},
	},
	# Nothing of a file's times but the ctime tells.
	{
		name => 'a changed file is given its old time back',
		before => table('back_in_time', 500) . 'CHECKPOINT;',
		between => sub {
			my ($node) = @_;
			my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('back_in_time')});
			# To the nanosecond.
			my $times = PostgreSQL::Test::Utils::tempdir('times') . '/file';
			PostgreSQL::Test::Utils::system_or_bail('touch', '-r', $file, $times);
			$node->safe_psql('postgres', 'UPDATE back_in_time SET v = -1 WHERE k = 500; CHECKPOINT;');
			PostgreSQL::Test::Utils::system_or_bail('touch', '-r', $times, $file);
		},
	});

# With a table of rows, in database $name.
sub make_database
{
	my ($node, $name, $salt, $options) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name STRATEGY file_copy " . ($options // ''));
	$node->safe_psql($name, 'CREATE TABLE here (k int PRIMARY KEY, v int, tags int[], t text, pad text);'
		  . "INSERT INTO here SELECT * FROM rows_of(0, 1000, $salt); VACUUM here;");
	return;
}

1;
