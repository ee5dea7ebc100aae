# A standby made from a backup, with PostgreSQL's own means: exported, standby.signal, primary_conninfo. It
# streams, stays the primary's equal through everything that happens there, and can take over.
use strict;
use warnings;
use BackupExtCompare qw(cluster_dump without_sequences);
use BackupExtFaults qw(set_and_reload);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtPropertyActions qw($template);
use BackupExtTest qw(new_node repository start_load finish_load take_backup staged_psql wait_for);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', conf => { wal_keep_size => '256MB', wal_log_hints => 'on' });
my $location = PostgreSQL::Test::Utils::tempdir('tablespace');
$primary->safe_psql('postgres', "CREATE TABLESPACE s1 LOCATION '$location'");
$primary->safe_psql('postgres', $template . <<'SQL');
CREATE TABLE kept (k int PRIMARY KEY, v int, tags int[], t text, pad text) TABLESPACE s1;
INSERT INTO kept SELECT * FROM rows_of(0, 3000, 1);
CREATE TABLE rewritten AS SELECT * FROM rows_of(0, 2000, 1);
CREATE TABLE dropped AS SELECT * FROM rows_of(0, 2000, 1);
CREATE TABLE once AS SELECT * FROM rows_of(0, 2000, 1);
CREATE TABLE once_s1 TABLESPACE s1 AS SELECT * FROM rows_of(0, 2000, 1);
CREATE SEQUENCE counted;
SQL
take_backup($primary, label => 'the parent');

# Incremental, and under load: pages come from two backups, and its WAL has to make them one.
my $load = start_load($primary);
my $held = start_held_backup($primary, '4MB');
wait_for($primary, 'SELECT bytes_done > 0.8 * bytes_total FROM backup_progress()', 'it has copied most');
set_and_reload($primary, 'backup_ext.max_rate', '100kB', '100kB');
# Pages that were copied, and that nothing changes again; then a checkpoint: replay must begin before it,
# where the backup began.
$primary->safe_psql('postgres', "UPDATE $_ SET v = v + 1") foreach ('once', 'once_s1');
change(1);
$primary->safe_psql('postgres', 'CHECKPOINT');
my ($status, $backup_id, $error) = finish_held_backup($held);
is($status, 0, 'a backup under load') or diag($error);

my $base = PostgreSQL::Test::Utils::tempdir('standby');
my $exported = program_json(repository($primary), 0, 'export', $backup_id, "$base/data");
is($exported->{backup_id}, $backup_id, 'the backup is exported');
my $socket = PostgreSQL::Test::Utils::tempdir_short();
append_to_file("$base/data/standby.signal", '');
append_to_file("$base/data/postgresql.auto.conf",
	"primary_conninfo = '" . ($primary->connstr =~ s/'/''/gr) . " application_name=copy'\n"
	  . "listen_addresses = ''\nport = 5432\nunix_socket_directories = '$socket'\n"
	  . "hot_standby = on\nshared_preload_libraries = ''\n");
succeeds('the standby starts', 'pg_ctl', '-D', "$base/data", '-l', "$base/log", '-w', 'start');
my $standby = { host => $socket, port => 5432 };
my $is_running = 1;
END
{
	local $?;
	PostgreSQL::Test::Utils::system_log('pg_ctl', '-D', "$base/data", '-m', 'immediate', 'stop') if $is_running;
}
wait_for($primary, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'copy' AND state = 'streaming'},
	'it streams');
is(staged_psql($standby, 'postgres', 'SELECT pg_is_in_recovery()'), 't', 'as a standby');
my $transactions = $primary->safe_psql('postgres', 'SELECT count(*) FROM pgbench_history');
wait_for($primary, "SELECT count(*) > $transactions + 100 FROM pgbench_history", 'the load goes on meanwhile');
change(2);
finish_load($load);
is_in_step('after the load');

change(3);
is_in_step('after changes');
# Visibility and hints come to the standby by WAL alone.
$primary->safe_psql('postgres', 'VACUUM (FREEZE)');
$primary->safe_psql('postgres', 'CHECKPOINT');
change(4);
is_in_step('after a vacuum and a checkpoint');

# From a restartpoint of its own, and then through a crash.
staged_psql($standby, 'postgres', 'CHECKPOINT');
change(5);
succeeds('the standby crashes', 'pg_ctl', '-D', "$base/data", '-m', 'immediate', '-w', 'stop');
$is_running = 0;
change(6);
succeeds('and starts', 'pg_ctl', '-D', "$base/data", '-l', "$base/log", '-w', 'start');
$is_running = 1;
is_in_step('after a crash of the standby');
unlike(slurp_file("$base/log"), qr/(?:PANIC|WARNING): .*(?:invalid|page|contain)/, 'replay found nothing wrong');

# pg_amcheck needs its extension: it comes from the primary.
$primary->safe_psql('postgres', 'CREATE EXTENSION amcheck');
catch_up();
succeeds('pg_amcheck finds the standby sound while it is one', 'pg_amcheck', '-h', $socket, '-p', 5432, 'postgres');

my $expected = state_of($primary);
my $counted = $primary->safe_psql('postgres', q{SELECT nextval('counted')});
$primary->stop;
succeeds('it takes over', 'pg_ctl', '-D', "$base/data", '-w', 'promote');
same_dump(state_of($standby), $expected, 'and is what the primary was');
cmp_ok(staged_psql($standby, 'postgres', q{SELECT nextval('counted')}), '>', $counted, 'its sequence goes on');
amcheck_copy($standby);
balances_agree($standby);
staged_psql($standby, 'postgres', 'INSERT INTO kept VALUES (-1)');
succeeds('and stops', 'pg_ctl', '-D', "$base/data", '-m', 'fast', '-w', 'stop');
$is_running = 0;
succeeds('pg_checksums finds every page sound', 'pg_checksums', '-c', '-D', "$base/data");

# Pages are changed, files made, replaced, cut and removed; a sequence goes on.
sub change
{
	my ($round) = @_;
	$primary->safe_psql('postgres', $_) foreach (
		"UPDATE kept SET v = v + 1 WHERE k % 13 = $round; DELETE FROM kept WHERE k % 101 = $round",
		"CREATE TABLE made_$round (k int PRIMARY KEY, v int) TABLESPACE s1;"
		  . "INSERT INTO made_$round SELECT g, $round FROM generate_series(1, 1000) g",
		'VACUUM FULL rewritten',
		$round % 2 ? 'TRUNCATE dropped' : 'INSERT INTO dropped SELECT * FROM rows_of(0, 500, 2)',
		'ALTER TABLE rewritten SET TABLESPACE ' . ($round % 2 ? 's1' : 'pg_default'),
		'DELETE FROM rewritten WHERE k > 1500; VACUUM rewritten; INSERT INTO rewritten SELECT * FROM rows_of(1501, 500, 1)',
		q{SELECT nextval('counted') FROM generate_series(1, 40)},
		"CREATE DATABASE d$round");
	$primary->safe_psql('postgres', 'DROP TABLE made_' . ($round - 1)) if $round > 1;
	$primary->safe_psql('postgres', 'DROP DATABASE d' . ($round - 1)) if $round > 1;
	return;
}

sub catch_up
{
	$primary->wait_for_catchup('copy', 'replay', $primary->lsn('insert'));
	return;
}

sub state_of
{
	my ($server) = @_;
	return without_sequences(cluster_dump($server));
}

sub is_in_step
{
	my ($what) = @_;
	catch_up();
	same_dump(state_of($standby), state_of($primary), "$what: the standby is equal by dump");
	return;
}

done_testing();
