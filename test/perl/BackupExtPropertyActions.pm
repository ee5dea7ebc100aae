# What may happen to a cluster between two backups, as a table of statements. Databases are d0 to d2 and
# postgres, tables t0 to t5 in each, tablespaces s0 to s2: few, so that names, files and numbers are used
# again and again.
#
# In the statements :t is a table of that database, :new a free name of one, :s a tablespace, :d and :e
# databases, :n a number of rows, :salt a number that makes rows differ, :p a number below ten.
package BackupExtPropertyActions;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw($template statement_actions);

# In template1, so that every database has it.
our $template = <<'SQL';
CREATE FUNCTION rows_of(first int, n int, salt int)
RETURNS TABLE (k int, v int, tags int[], t text, pad text) LANGUAGE sql AS $$
	SELECT first + i, (first + i) / 7, ARRAY[i % 50, (i * salt) % 50], 'x' || (i + salt) % 100,
		repeat(md5((i * salt)::text), 1 + (i + salt) % 4)
	FROM generate_series(1, n) i $$;
CREATE SEQUENCE numbers;
CREATE TABLE objects (id oid);
SQL

my $insert = 'INSERT INTO :t SELECT * FROM rows_of((SELECT coalesce(max(k), 0) FROM :t), :n, :salt)';
my $create = 'TABLE :new (k int PRIMARY KEY, v int, tags int[], t text, pad text)';
my $fill_new = 'INSERT INTO :new SELECT * FROM rows_of(0, :n, :salt)';

# name, weight, where it runs (a database that has what it needs) and statements, each sent by itself.
# "may" is an error that is no fault. Those of "servers" are run in postgres.
my @actions = (
	# Rows.
	[ 'insert', 12, 'table', $insert ],
	[ 'insert and roll back', 2, 'table', "BEGIN; $insert; ROLLBACK" ],
	[ 'insert in parts', 2, 'table', "BEGIN; SAVEPOINT a; $insert; ROLLBACK TO a; $insert; COMMIT" ],
	[ 'update few', 8, 'table', 'UPDATE :t SET v = v + 1, t = \'y\' || :salt WHERE k % 499 = :salt % 499' ],
	[ 'update in place', 4, 'table', 'UPDATE :t SET pad = md5(k::text || :salt) WHERE k % 97 = :p' ],
	[ 'update many', 3, 'table', 'UPDATE :t SET v = v + 1, tags = tags || :p WHERE k % 3 = :salt % 3' ],
	[ 'update one to be long', 2, 'table', 'UPDATE :t SET pad = (SELECT string_agg(md5(i::text), \'\')
		FROM generate_series(1, 400) i) WHERE k = (SELECT min(k) FROM :t)' ],
	[ 'delete few', 4, 'table', 'DELETE FROM :t WHERE k % 211 = :salt % 211' ],
	[ 'delete many', 2, 'table', 'DELETE FROM :t WHERE k % 2 = :p % 2' ],
	[ 'delete the end and cut it off', 4, 'table',
		'DELETE FROM :t WHERE k > (SELECT max(k) * 0.:p FROM :t)', 'VACUUM (TRUNCATE) :t' ],
	[ 'cut off and extend', 4, 'table', 'DELETE FROM :t WHERE k > :p', 'VACUUM (TRUNCATE) :t', $insert ],
	[ 'lock rows', 2, 'table', 'SELECT count(*) FROM (SELECT 1 FROM :t WHERE k % 50 = :p FOR KEY SHARE) AS locked' ],
	[ 'read all', 3, 'table', 'SELECT count(*), max(pad) FROM :t' ],
	# Maintenance.
	[ 'vacuum', 8, 'table', 'VACUUM :t' ],
	[ 'freeze', 4, 'table', 'VACUUM (FREEZE) :t' ],
	[ 'vacuum all', 2, 'database', 'VACUUM ANALYZE' ],
	[ 'freeze all', 1, 'database', 'VACUUM FREEZE' ],
	[ 'rewrite by vacuum', 3, 'table', 'VACUUM FULL :t' ],
	[ 'rewrite by cluster', 2, 'table', 'CLUSTER :t USING :t_pkey' ],
	[ 'rewrite by alter', 1, 'table', 'ALTER TABLE :t ALTER v TYPE bigint', 'ALTER TABLE :t ALTER v TYPE int' ],
	[ 'reindex', 3, 'table', 'REINDEX TABLE :t' ],
	[ 'rewrite mapped catalogs', 2, 'database', 'VACUUM FULL pg_class', 'REINDEX TABLE pg_attribute' ],
	[ 'rewrite shared catalogs', 1, 'servers', 'VACUUM FULL pg_authid', 'REINDEX TABLE pg_database' ],
	[ 'truncate', 3, 'table', 'TRUNCATE :t' ],
	[ 'truncate and fill', 2, 'table', "BEGIN; TRUNCATE :t; $insert; COMMIT" ],
	[ 'truncate and roll back', 1, 'table', "BEGIN; TRUNCATE :t; $insert; ROLLBACK" ],
	# Tables, indexes.
	[ 'create table', 8, 'free name', "CREATE $create", $fill_new ],
	[ 'create table in a tablespace', 3, 'free name', "CREATE $create TABLESPACE :s", $fill_new ],
	[ 'create unlogged table', 3, 'free name', "CREATE UNLOGGED $create", $fill_new ],
	[ 'create and fill at once', 2, 'free name', "BEGIN; CREATE $create; $fill_new; COMMIT" ],
	[ 'create and roll back', 1, 'free name', "BEGIN; CREATE $create; $fill_new; ROLLBACK" ],
	[ 'drop table', 4, 'table', 'DROP TABLE :t' ],
	[ 'drop and create table', 4, 'table', 'DROP TABLE :t', 'CREATE TABLE :t AS SELECT * FROM rows_of(0, :n, :salt)',
		'ALTER TABLE :t ADD PRIMARY KEY (k)' ],
	[ 'GIN index', 3, 'table', 'DROP INDEX IF EXISTS :t_gin', 'CREATE INDEX :t_gin ON :t USING gin (tags)' ],
	[ 'BRIN index', 3, 'table', 'DROP INDEX IF EXISTS :t_brin',
		'CREATE INDEX :t_brin ON :t USING brin (v) WITH (pages_per_range = 4)' ],
	[ 'hash index', 3, 'table', 'DROP INDEX IF EXISTS :t_hash', 'CREATE INDEX :t_hash ON :t USING hash (t)' ],
	[ 'table to a tablespace', 4, 'table', 'ALTER TABLE :t SET TABLESPACE :s' ],
	[ 'table to the default tablespace', 2, 'table', 'ALTER TABLE :t SET TABLESPACE pg_default' ],
	[ 'index to a tablespace', 3, 'table', 'ALTER INDEX :t_pkey SET TABLESPACE :s' ],
	[ 'unlogged', 3, 'table', 'ALTER TABLE :t SET UNLOGGED' ],
	[ 'logged', 4, 'table', 'ALTER TABLE :t SET LOGGED' ],
	# Other objects.
	[ 'large objects', 3, 'database',
		q{INSERT INTO objects SELECT lo_from_bytea(0, convert_to(repeat(md5(i::text), :p * 100), 'UTF8'))
		  FROM generate_series(1, 4) i} ],
	[ 'change a large object', 2, 'database', q{SELECT lo_put(id, :salt, '\x0102') FROM objects LIMIT 1} ],
	[ 'unlink large objects', 1, 'database', 'SELECT lo_unlink(id) FROM (SELECT id FROM objects ORDER BY id LIMIT 2) AS s',
		'DELETE FROM objects WHERE id IN (SELECT id FROM objects ORDER BY id LIMIT 2)' ],
	[ 'next values', 3, 'database', q{SELECT nextval('numbers') FROM generate_series(1, :p)} ],
	[ 'restart a sequence', 1, 'database', 'ALTER SEQUENCE numbers RESTART WITH :salt' ],
	[ 'prepare a transaction', 2, 'servers',
		q{BEGIN; INSERT INTO prepared_here VALUES (:salt); PREPARE TRANSACTION 'prepared :salt'} ],
	# Databases. d: there is one; e: a free name.
	[ 'create database', 6, 'free database', 'CREATE DATABASE :e :strategy TEMPLATE template1' ],
	[ 'copy a database', 3, 'two databases', 'CREATE DATABASE :e :strategy TEMPLATE :d' ],
	[ 'create database in a tablespace', 2, 'free database', 'CREATE DATABASE :e :strategy TEMPLATE template1 TABLESPACE :s' ],
	[ 'drop database', 2, 'old database', 'DROP DATABASE :d' ],
	[ 'drop database, use its number again', 4, 'old database', 'DROP DATABASE :d',
		'CREATE DATABASE :d :strategy TEMPLATE template1 OID :oid' ],
	[ 'copy of a database under its number', 3, 'two databases', 'CREATE DATABASE :e :strategy TEMPLATE :d',
		'DROP DATABASE :d', 'CREATE DATABASE :d :strategy TEMPLATE :e OID :oid' ],
	[ 'database to a tablespace', 3, 'old database', 'ALTER DATABASE :d SET TABLESPACE :s' ],
	[ 'database to the default tablespace', 2, 'old database', 'ALTER DATABASE :d SET TABLESPACE pg_default' ],
	[ 'rename database', 1, 'two databases', 'ALTER DATABASE :d RENAME TO :e' ],
	[ 'checkpoint', 4, 'servers', 'CHECKPOINT' ],
	[ 'switch WAL', 1, 'servers', 'SELECT pg_switch_wal()' ]);

# A list of { name, weight, where, statements }.
sub statement_actions
{
	return map {
		my ($name, $weight, $where, @statements) = @$_;
		{ name => $name, weight => $weight, where => $where, statements => \@statements };
	} @actions;
}

# Errors that the state of a database explains.
our $expected_error = qr/some relations of database .* are already in tablespace/;

1;
