# A plain export is what pg_basebackup makes: the same files, accepted by pg_verifybackup, and a server
# that is started from it is the origin again, with nothing of ours in it.
use strict;
use warnings;
use File::Find qw(find);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtCompare qw(cluster_dump);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository start_load finish_load take_backup start_stage stop_stage staged_psql dump wait_for);

my $base = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('main', conf => { autovacuum => 'off', work_mem => '7MB' });
my $repository = repository($node);
my $data = $node->data_dir;
my %locations = (plain => "$base/plain", odd => "$base/a = b\\ \xC3\xA9");
foreach my $name (sort keys %locations)
{
	mkdir($locations{$name}) or die;
	$node->safe_psql('postgres', "CREATE TABLESPACE $name LOCATION E'" . ($locations{$name} =~ s/\\/\\\\/gr) . "'");
	$node->safe_psql('postgres', "CREATE TABLE in_$name TABLESPACE $name AS SELECT i, md5(i::text) AS t FROM generate_series(1, 2000) i");
}
$node->safe_psql('postgres', 'CREATE DATABASE other TABLESPACE plain');
$node->safe_psql('other', 'CREATE TABLE here AS SELECT generate_series(1, 100) AS i');
$node->safe_psql('postgres', q{ALTER SYSTEM SET maintenance_work_mem = '33MB'});
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS i');
my %oid = map { my ($name, $oid) = split(/\|/, $_); $name => $oid }
  split(/\n/, $node->safe_psql('postgres', 'SELECT spcname, oid FROM pg_tablespace'));
my $auto_conf = slurp_file("$data/postgresql.auto.conf");
my $backup_id = take_backup($node);
my $dump = cluster_dump($node);

#
# The same files as pg_basebackup's
#
sub files_of
{
	my ($directory) = @_;
	my @files;
	find({ no_chdir => 1, follow_fast => 1, wanted => sub { push @files, substr($_, length($directory) + 1) if -f } },
		$directory);
	# The WAL is that of another moment; what our library keeps in the data directory is not copied.
	return [ sort grep { !m{^pg_wal/} && !/^backup_ext\.state$/ && !m{^pg_logical/replorigin_checkpoint$} } @files ];
}
system_or_bail('pg_basebackup', '-D', "$base/by_server", '-c', 'fast', '--no-sync', '-h', $node->host, '-p', $node->port,
	'-T', "$locations{plain}=$base/by_server_plain", '-T', ($locations{odd} =~ s/=/\\=/gr) . "=$base/by_server_odd");
my $exported = program_json($repository, 0, 'export', $backup_id, "$base/exported");
is($exported->{backup_id}, $backup_id, 'the document names the backup');
is($exported->{format}, 'plain', 'and the format');
is_deeply([ map { $_->{directory} } @{ $exported->{tablespaces} } ],
	[ map { "$base/exported.tablespaces/$oid{$_}" } sort { $oid{$a} <=> $oid{$b} } keys %locations ],
	'and where the tablespaces are');
is_deeply(files_of("$base/exported"), files_of("$base/by_server"), 'the files are those of pg_basebackup');
is(slurp_file("$base/exported/postgresql.conf"), slurp_file("$data/postgresql.conf"), 'postgresql.conf as it was');
has_no_trace_of_us($_, $auto_conf, 'exported') foreach "$base/exported";
succeeds('pg_verifybackup accepts it, WAL included', 'pg_verifybackup', "$base/exported");

my $copy = start_export("$base/exported");
is(cluster_dump($copy), $dump, 'a server that is started from it is equal by dump');
is(staged_psql($copy, 'postgres', "SHOW $_->[0]"), $_->[1], "$_->[0] is the origin's")
  foreach ([ 'work_mem', '7MB' ], [ 'maintenance_work_mem', '33MB' ], [ 'archive_mode', 'off' ]);
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM unlogged'), '0', 'the unlogged table is empty');
is(timeline_of($copy), '1', 'it goes on, on the timeline of its origin');
amcheck_copy($copy);
staged_psql($copy, 'postgres', 'CREATE TABLE of_the_copy TABLESPACE plain AS SELECT 1 AS i');
stop_stage($copy);
succeeds('pg_checksums finds every page sound', 'pg_checksums', '-c', '-D', "$base/exported");
is(cluster_dump($node), $dump, 'the origin is untouched');

#
# Tablespaces where one wants them
#
my $mapping = ($locations{odd} =~ s/=/\\=/gr) . "=$base/new place";
$exported = program_json($repository, 0, 'export', 'latest', "$base/mapped", '--tablespace-mapping', $mapping,
	'--tablespace-mapping', "$locations{plain}=$base/new_plain");
is(readlink("$base/mapped/pg_tblspc/$oid{odd}"), "$base/new place", 'a mapped tablespace is linked');
is(readlink("$base/mapped/pg_tblspc/$oid{plain}"), "$base/new_plain", 'the other too');
ok(!-e "$base/mapped.tablespaces", 'no directory is made for what is mapped elsewhere');
is_deeply([ grep { !/^\.\.?$/ && !/^PG_/ } slurp_dir("$base/new place") ], [], 'no file of ours in it');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/mapped");
$copy = start_export("$base/mapped");
is(cluster_dump($copy), $dump, 'with mapped tablespaces: equal by dump');
stop_stage($copy);

foreach my $case (
	[ 2, 'no such tablespace', [ '--tablespace-mapping', "$base/unknown=$base/x" ], qr/no tablespace in directory/ ],
	[ 2, 'a mapping that is none', [ '--tablespace-mapping', "$base/unknown" ], qr/is not a tablespace mapping/ ],
	[ 2, 'a relative place', [ '--tablespace-mapping', "$locations{plain}=x" ], qr/new directory is not absolute/ ],
	[ 2, 'two to one place', [ map { ('--tablespace-mapping', ($locations{$_} =~ s/=/\\=/gr) . "=$base/x") } keys %locations ],
		qr/two tablespaces are mapped/ ],
	[ 2, 'into the export itself', [ '--tablespace-mapping', "$locations{plain}=$base/refused/inside" ], qr/does not exist|cannot restore into/ ],
	[ 1, 'onto the origin', [ '--tablespace-mapping', "$locations{plain}=$locations{plain}" ], qr/is not empty/ ])
{
	my ($expected, $what, $options, $message) = @$case;
	my ($code, $output, $error) = program($repository, 'export', 'latest', "$base/refused", @$options);
	isnt($code, 0, "$what: refused");
	like($error, $message, "$what: message");
	ok(!-e "$base/refused" && !-e "$base/x", "$what: nothing is left");
}

#
# Under load, and with a tablespace that was made meanwhile
#
my $load = start_load($node);
my $held = start_held_backup($node);
mkdir("$base/late") or die;
$node->safe_psql('postgres', "CREATE TABLESPACE late LOCATION '$base/late'");
$node->safe_psql('postgres', 'CREATE TABLE in_late TABLESPACE late AS SELECT generate_series(1, 1000) AS i');
$backup_id = release_backup($held);
finish_load($load);
program_json($repository, 0, 'export', $backup_id, "$base/busy");
succeeds('pg_verifybackup accepts the export of a busy server', 'pg_verifybackup', "$base/busy");
$node->stop;
my $before = tree_state($base . '/late');
$copy = start_export("$base/busy");
balances_agree($copy);
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM in_late'), '1000', 'the late tablespace came along');
amcheck_copy($copy);
stop_stage($copy);
is_deeply(tree_state("$base/late"), $before, "replay did not write into the origin's late tablespace");
my $refused = program_json($repository, 1, 'export', $backup_id, "$base/busy_tar", '--format', 'tar');
like($refused->{error}{message}, qr/as tar: tablespace \d+ was created while it was taken/, 'as tar it is refused');
ok(!-e "$base/busy_tar", 'and nothing is left');

#
# A standby's backup is a standby, and can be promoted.
#
my $primary = new_node('primary');
$primary->safe_psql('postgres', 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i');
$primary->backup('seed');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'seed', has_streaming => 1);
$standby->append_conf('postgresql.conf', "backup_ext.repository = '" . repository($standby) . "'");
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
take_backup($standby);
$dump = dump($primary);
$primary->stop;
$standby->stop;
$exported = program_json(repository($standby), 0, 'export', 'latest', "$base/of_standby");
is($exported->{from_standby}, JSON::PP::true, 'the document says that it is of a standby');
ok(-e "$base/of_standby/standby.signal", 'so is the export');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/of_standby");
my $socket = PostgreSQL::Test::Utils::tempdir_short();
$copy = start_stage({ stage_id => 'of_standby', directory => "$base/of_standby",
	start_command => "pg_ctl -D '$base/of_standby' -l '$socket/log' -w -o \"-c port=5432 -c unix_socket_directories='$socket'"
	  . " -c shared_preload_libraries=''\" start && pg_ctl -D '$base/of_standby' -w promote" });
same_dump(dump($copy), $dump, 'promoted: equal by dump');
stop_stage($copy);

#
# A configuration that lies elsewhere (Debian): the export has what it needs to be started.
#
my $outside = new_node('outside', no_start => 1, conf => { work_mem => '9MB' });
$data = $outside->data_dir;
my $etc = "$base/etc";
mkdir($etc) or die;
rename("$data/$_", "$etc/$_") or die foreach qw(postgresql.conf pg_hba.conf pg_ident.conf);
append_to_file("$etc/postgresql.conf",
	"data_directory = '$data'\nhba_file = '$etc/pg_hba.conf'\nident_file = '$etc/pg_ident.conf'\n");
append_to_file("$etc/pg_hba.conf", "# by hand\n");
system_or_bail('pg_ctl', '-D', $etc, '-l', $outside->logfile, '-w', 'start');
$outside->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
$outside->safe_psql('postgres', 'SELECT backup_now()');
$dump = dump($outside);
system_or_bail('pg_ctl', '-D', $etc, '-m', 'fast', '-w', 'stop');
$exported = program_json(repository($outside), 0, 'export', 'latest', "$base/of_outside");
is(slurp_file("$base/of_outside/$_"), slurp_file("$etc/$_"), "$_ came along") foreach qw(pg_hba.conf pg_ident.conf);
has_no_trace_of_us("$base/of_outside", slurp_file("$data/postgresql.auto.conf"), 'configuration elsewhere');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/of_outside");
rename($etc, "$etc.away") or die;
$copy = start_export("$base/of_outside");
same_dump(dump($copy), $dump, 'configuration elsewhere: equal by dump');
is(staged_psql($copy, 'postgres', 'SHOW work_mem'), '9MB', 'with its settings');
stop_stage($copy);

done_testing();
