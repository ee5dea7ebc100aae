# What belongs in a backup: the files of a stage are compared with those of pg_basebackup of the same
# quiet cluster, which was sown with everything that must stay out.
use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtTest qw(new_node take_backup stage start_stage stop_stage staged_psql dump wait_for);

#
# Junk, and what only looks like it. The WAL lies elsewhere, and a group may read everything.
#
my $wal_directory = PostgreSQL::Test::Utils::tempdir() . '/wal_elsewhere';
my $node = new_node(
	'sown',
	extra => [ '--data-checksums', '-g', '-X', $wal_directory ],
	conf => { autovacuum => 'off' });
my $data = $node->data_dir;
$node->safe_psql('postgres', <<'SQL');
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS i;
CREATE INDEX ON unlogged (i);
CREATE UNLOGGED SEQUENCE unlogged_numbers;
CREATE TABLE logged AS SELECT generate_series(1, 1000) AS i;
VACUUM logged;
SELECT pg_create_physical_replication_slot('kept_here', true);
CREATE DATABASE empty_one;
CREATE DATABASE copied STRATEGY file_copy;
SQL
$node->safe_psql('copied', 'CREATE TABLE here AS SELECT 1 AS i');
my $database = $node->safe_psql('postgres',
	q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
my $unlogged = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('unlogged')});
my $logged = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('logged')});

# The files of its temporary tables are there until it ends.
my $temporary = start_psql($node,
	'CREATE TEMPORARY TABLE t AS SELECT generate_series(1, 1000) AS i; CREATE INDEX ON t (i);'
	  . q{SELECT pg_sleep(0.1) FROM generate_series(1, 100000)});
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'},
	'a session has a temporary table');
ok(grep(/^t\d+_\d+$/, slurp_dir("$data/base/$database")), 'which has files');

my %junk = map { $_ => 1 } (
	'base/pgsql_tmp/pgsql_tmp4242.0', 'base/pgsql_tmp/pgsql_tmp4242.1.sharedfileset/0.0',
	"base/$database/t3_16384", "base/$database/t3_16384_fsm", "base/$database/t3_16384.1",
	"base/$database/pg_internal.init.4242", 'global/pg_internal.init.4242', "${unlogged}_fsm",
	"$unlogged.1", 'pg_stat_tmp/global.stat', 'pg_notify/0099', 'pg_serial/0099', 'pg_subtrans/0099',
	'pg_snapshots/00000003-0000001B-1', 'pg_dynshmem/mmap.1', 'pg_replslot/orphan/state',
	'postgresql.auto.conf.tmp', 'current_logfiles.tmp', 'backup_manifest', '.DS_Store');
my %kept = map { $_ => 1 } (
	'backup_label.old', 'tablespace_map.old', 'log/postgresql.log', "base/$database/t3_x",
	"${logged}_other", 'pg_stat/note', "odd \xE9\xFF name", "quote'd \"file\"", "line\nbreak",
	'deep/below/pg_wal/file', 'empty.file', 'script');
foreach my $path (keys %junk, keys %kept)
{
	my @parts = split(m{/}, "$data/$path");
	pop @parts;
	system_or_bail('mkdir', '-p', join('/', @parts));
	append_to_file("$data/$path", $path eq 'empty.file' ? '' : "sown: $path\n");
}
mkdir("$data/deep/empty") or die;
chmod(0750, "$data/script") or die;
mkfifo("$data/fifo", 0600) or die "could not make fifo: $!";
symlink('/nowhere/at/all', "$data/link_to_nothing") or die;
# The path of a socket must be short: bound from inside.
my $socket = do {
	my $pid = fork;
	if (!$pid) { chdir($data); IO::Socket::UNIX->new(Local => 'sock', Listen => 1); POSIX::_exit(0); }
	waitpid($pid, 0);
};
ok(-S "$data/sock" && -p "$data/fifo", 'there are a socket and a fifo');
$node->safe_psql('postgres', 'CHECKPOINT');

$node->command_ok(
	[
		'pg_basebackup', '-Fp', '-X', 'none', '-c', 'fast', '--no-sync', '-D',
		$node->basedir . '/reference', '-h', $node->host, '-p', $node->port
	],
	'pg_basebackup of the same cluster');
my ($status, $backup_id, $warnings) = finish_psql(start_psql($node, 'SELECT backup_now()'));
is($status, 0, 'a cluster full of junk is backed up');
my $log = slurp_file($node->logfile);
like($log, qr/WARNING:  skipping special file "$_"/, "$_ is named in a warning")
  foreach qw(fifo sock link_to_nothing);
ok(!-e "$data/backup_label" && !-e "$data/tablespace_map",
	'the live data directory has no backup_label');

my $stage = stage($node, $backup_id);
my $place = $stage->{directory};
my @expected = files_below($node->basedir . '/reference');
my @got = files_below($place);

# What may differ: WAL, which was left out here and is in every backup of ours; what makes it a stage.
my $may_differ = qr{^(pg_wal/.+|backup_manifest|backup_ext_stage/.*|recovery\.signal)$};
is_deeply(
	[ grep { $_ !~ $may_differ } @got ],
	[ grep { $_ !~ $may_differ } @expected ],
	'the files of the stage are those of pg_basebackup');
is_deeply([ grep { $junk{$_} && $_ ne 'backup_manifest' } @got ], [], 'no junk came along');
my %got = map { $_ => 1 } @got;
is_deeply([ grep { !$got{$_} } sort keys %kept ], [], 'what only looks like junk came along');
is_deeply([ grep { m{^pg_replslot/.} } @got ], [], 'no slot came along');
ok($got{"${unlogged}_init"} && !$got{$unlogged}, 'of an unlogged table the init fork came along');
ok(-d "$place/pg_wal" && !-l "$place/pg_wal", 'pg_wal on another disk came back as a directory');

# Content and modes: those of the origin, which nobody changed since.
my @differ = grep {
	-f "$data/$_" && !/^(global\/pg_control|postgresql\.auto\.conf|backup_label|base\/\d+\/(1247|1249|1259|2608|2619|1262|6100)(_vm|_fsm)?)$/
	  && slurp_file("$data/$_") ne slurp_file("$place/$_")
} grep { $_ !~ $may_differ } @got;
is_deeply(\@differ, [], 'the files hold the same bytes');
is(sprintf('%o', (stat($place))[2] & 07777), '750', 'the group may enter the stage');
is(sprintf('%o', (stat("$place/$_"))[2] & 07777), sprintf('%o', (stat("$data/$_"))[2] & 07777),
	"mode of $_") foreach ($logged, 'base', 'PG_VERSION', 'script');

verify_stage($stage);
my $copy = start_stage($stage);
amcheck_copy($copy);
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM unlogged'), '0',
	'an unlogged table is empty in the copy');
is(staged_psql($copy, 'postgres', q{INSERT INTO unlogged VALUES (1);
		SELECT nextval('unlogged_numbers'); SELECT count(*) FROM unlogged WHERE i = 1}),
	"1\n1", 'and can be used');
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM logged'), '1000', 'a logged one is full');
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM pg_replication_slots'), '0',
	'the copy holds back no WAL for anybody');
is(staged_psql($copy, 'copied', 'SELECT i FROM here'), '1', 'a database made by file copy is there');
is(staged_psql($copy, 'empty_one', 'SELECT 1'), '1', 'an empty one too');
stop_stage($copy);
# pg_checksums takes these for relations.
unlink("$place/$_") or die foreach ("base/$database/t3_x", "${logged}_other");
verify_checksums($stage);
$temporary->{process}->signal('TERM');
eval { $temporary->{process}->finish };
$node->stop;

#
# Configuration outside the data directory, as Debian keeps it: every file is in the backup, and the
# copy starts from what the settings were, not from those files.
#
my $outside = new_node('outside', no_start => 1, conf => { work_mem => '7MB' });
my $etc = $outside->basedir . '/etc';
mkdir($etc) or die;
mkdir("$etc/conf.d") or die;
$data = $outside->data_dir;
foreach my $file (qw(postgresql.conf pg_hba.conf pg_ident.conf))
{
	rename("$data/$file", "$etc/$file") or die "could not rename: $!";
}
append_to_file("$etc/postgresql.conf", <<CONF);
data_directory = '$data'
hba_file = '$etc/pg_hba.conf'
ident_file = '$etc/pg_ident.conf'
include_dir = 'conf.d'
CONF
append_to_file("$etc/conf.d/ours.conf", "max_connections = 37\nsearch_path = 'apart, public'\n");
my %originals = map { $_ => slurp_file("$etc/$_") }
  qw(postgresql.conf pg_hba.conf pg_ident.conf conf.d/ours.conf);
sub pg_ctl_outside { return system_log('pg_ctl', '-D', $etc, '-l', $outside->logfile, '-w', @_); }
is(pg_ctl_outside('start'), 0, 'a server with its configuration elsewhere starts');
END
{
	local $?;
	pg_ctl_outside('-m', 'immediate', 'stop') if defined $outside && -e "$data/postmaster.pid";
}
$outside->safe_psql('postgres', 'CREATE EXTENSION backup_ext SCHEMA public;
	CREATE SCHEMA apart; CREATE TABLE apart.found AS SELECT 1 AS i;
	ALTER SYSTEM SET maintenance_work_mem = $$33MB$$');
my $outside_id = $outside->safe_psql('postgres', 'SELECT public.backup_now()');
my $stage_id = $outside->safe_psql('postgres',
	'SELECT public.backup_stage_restore(safety_backup => false)');
my %outside_stage;
@outside_stage{qw(stage_id directory start_command)} = split(/\|/,
	$outside->safe_psql('postgres', 'SELECT stage_id, directory, start_command FROM backup_staged()'), 3);
$place = $outside_stage{directory};
my %index = map { reverse split(/\t/, $_, 2) }
  grep { !/^#/ } split(/\n/, slurp_file((glob("'$place'/backup_ext_conf*/index"))[0]));
foreach my $file (sort keys %originals)
{
	my $kept = $index{"$etc/$file"};
	ok(defined $kept, "$file is in the index of the stage") or next;
	is(slurp_file((glob("'$place'/backup_ext_conf*"))[0] . "/$kept"),
		$originals{$file}, "$file is kept as it was");
	is(slurp_file("$etc/$file"), $originals{$file}, "the $file of the server is untouched");
}
verify_stage(\%outside_stage);
$copy = start_stage(\%outside_stage);
is(staged_psql($copy, 'postgres', "SELECT current_setting('$_->[0]')"), $_->[1],
	"$_->[0] is what it was on the server")
  foreach ([ 'work_mem', '7MB' ], [ 'max_connections', '37' ], [ 'maintenance_work_mem', '33MB' ]);
is(staged_psql($copy, 'postgres', 'SELECT i FROM found'), '1', 'search_path too');
is(staged_psql($copy, 'postgres', 'SHOW config_file'), "$place/postgresql.conf",
	'the copy reads no file of the server');
is(staged_psql($copy, 'postgres', 'SHOW hba_file'), "$place/backup_ext_stage/pg_hba.conf",
	'nor its pg_hba.conf');
amcheck_copy($copy);
stop_stage($copy);
ok(!-e "$data/backup_label", 'the live data directory has no backup_label here either');
is(pg_ctl_outside('-m', 'fast', 'stop'), 0, 'the server stops');

done_testing();
