# Where a stage and a data directory may be: tablespaces where the user wants them, Debian's layout with its
# configuration elsewhere, a linked pg_wal, a data directory that is a mount point, other file systems,
# names that are not UTF-8.
use strict;
use warnings;
use BackupExtFaults qw(refuses_with);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository take_backup stage start_stage stop_stage staged_psql dump major_version);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => { autovacuum => 'off' });
my $data = $node->data_dir;
my $base = PostgreSQL::Test::Utils::tempdir();
foreach my $name (qw(one two))
{
	mkdir("$base/$name") or die;
	$node->safe_psql('postgres', "CREATE TABLESPACE $name LOCATION '$base/$name'");
	$node->safe_psql('postgres', "CREATE TABLE in_$name TABLESPACE $name AS SELECT generate_series(1, 1000) AS i");
}
my %oid = map { $_ => $node->safe_psql('postgres', "SELECT oid FROM pg_tablespace WHERE spcname = '$_'") } qw(one two);
my $backup_id = take_backup($node);
my $then = dump($node);

#
# tablespace_map: by name, oid or directory. What could touch a server's files is refused first.
#
my $restore = "SELECT backup_stage_restore('$backup_id', safety_backup => false, tablespace_map => ";
my @refused = (
	{ map => '[]', state => '22023', says => 'invalid tablespace map', why => 'not a JSON object' },
	{ map => '{"none": "/x"}', state => '42704', says => 'tablespace "none" does not exist', why => '' },
	{ map => '{"99": "/x"}', state => '22023', says => 'the backup has no tablespace 99 to map', why => '' },
	{ map => '{"one": 7}', state => '22023', says => 'invalid tablespace map', why => 'is not text' },
	{ map => '{"one": "relative"}', state => '22023', says => 'cannot restore into directory "relative"', why => 'absolute path' },
	{ map => qq({"one": "$base/two"}), state => '22023', says => 'cannot restore into', why => 'which is in use' },
	{ map => qq({"one": "$base/one/below"}), state => '22023', says => 'cannot restore into', why => 'which is in use' },
	{ map => qq({"one": "$data/x"}), state => '22023', says => 'cannot restore into', why => 'which is' },
	{ map => qq({"one": "$base/new", "two": "$base/new"}), state => '22023', says => 'two tablespaces are mapped', why => '' });
foreach my $case (@refused)
{
	my ($map, $state, $message, $detail) = @$case{qw(map state says why)};
	my ($output, $error) = ('', '');
	$node->psql('postgres', "\\set VERBOSITY verbose\n${restore}'$map')", stdout => \$output, stderr => \$error);
	like($error, qr/ERROR:  $state: \Q$message\E/, "$map: refused");
	like($error, qr/DETAIL:  .*\Q$detail\E/, "$map: says why") if $detail ne '';
	ok(!-e "$base/new", "$map: nothing was written");
}
$node->safe_psql('postgres', 'CREATE ROLE olga LOGIN; GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO olga');
my ($output, $error) = ('', '');
$node->psql('postgres', qq{${restore}'{"one": "$base/new"}')}, stdout => \$output, stderr => \$error,
	extra_params => [ '-U', 'olga' ]);
like($error, qr/permission denied/, 'a map is for superusers');

mkdir("$base/empty") or die;
my $stage = stage($node, $backup_id,
	tablespace_map => qq({"one": "$base/empty", "$base/two": "$base/made"}));
my $place = $stage->{directory};
verify_stage($stage);
is(readlink("$place/pg_tblspc/$oid{one}"), "$base/empty", 'a tablespace is where it was wanted');
is(readlink("$place/pg_tblspc/$oid{two}"), "$base/made", 'the other one too');
ok(!-e "$place.tablespaces", 'none lies beside the stage');
my $discarded = stage($node, $backup_id, tablespace_map => qq({"$oid{one}": "$base/third"}));
ok(-d "$base/third", 'a third stage, one tablespace mapped by its oid');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$discarded->{stage_id}')");
ok(!-e "$base/third" && !-e "$discarded->{directory}.tablespaces", 'discarding it takes all of them');

$node->safe_psql('postgres', 'CREATE TABLE later AS SELECT 1 AS i');
my $now = dump($node);
# It has written all that it had to before what is compared is looked at.
$node->safe_psql('postgres', 'CHECKPOINT');
my $before = tree_state("$base/one", "$base/two");
my $copy = start_stage($stage);
same_dump(dump($copy), $then, 'mapped: equal by dump');
staged_psql($copy, 'postgres', 'UPDATE in_one SET i = i; UPDATE in_two SET i = i; CHECKPOINT');
# The rows have other places now.
my $looked_at = dump($copy);
stop_stage($copy);

#
# Activated they stay where they are. pg_wal of the old server was a link.
#
$node->stop;
rename("$data/pg_wal", "$base/wal") or die;
symlink("$base/wal", "$data/pg_wal") or die;
like(runs('a linked pg_wal', 'activate', $place, '--pgdata', $data), qr/pg_wal of the server so far is a link/,
	'says what becomes of it');
start_activated($node);
same_dump(dump($node), $looked_at, 'mapped tablespaces, linked pg_wal: activated');
is($node->safe_psql('postgres', "SELECT pg_tablespace_location($oid{two})"), "$base/made", 'in its place');
ok(-d "$data/pg_wal" && !-l "$data/pg_wal", 'the new server has its WAL with it');
$node->stop;
is_deeply(tree_state("$base/one", "$base/two"), $before, 'the old tablespaces were not touched');
runs('undo', 'undo', '--pgdata', $data);
start_activated($node);
same_dump(dump($node), $now, 'and back');
is(readlink("$data/pg_wal"), "$base/wal", 'with the link');

#
# Names that are not UTF-8. (Text of SQL could not say them.)
#
my $odd = PostgreSQL::Test::Utils::tempdir() . "/st\xE4ge \x{01}'\\";
my $repository = repository($node);
$odd =~ s/\x{01}//;
runs('the program restores', '--repository', $repository, 'restore', $backup_id, $odd);
$node->stop;
runs('a name that is not UTF-8', 'activate', $odd, '--pgdata', $data);
start_activated($node);
same_dump(dump($node), $then, 'a name that is not UTF-8: activated');
$node->stop;
runs('undo', 'undo', '--pgdata', $data, '--json');

#
# Mount points and other file systems: refused, and the data directory is as it was.
#
SKIP:
{
	my $other = '/dev/shm';
	skip 'there is no other file system', 4
	  if !-w $other || (stat($other))[0] == (stat($data))[0];
	my $far = "$other/backup_ext_073_$$";
	runs('restored to another file system', '--repository', $repository, 'restore', $backup_id, $far);
	my ($code, $out, $message) = program(undef, 'activate', $far, '--pgdata', $data);
	is($code, 1, 'another file system: refused');
	like($message, qr/another file system.*hint: Restore again/s, 'and says what to do');
	system_or_bail('rm', '-rf', $far, "$far.tablespaces");
}
SKIP:
{
	skip 'no mount namespaces here', 6 if system('unshare -Urm true 2>/dev/null') != 0;
	my $beside = PostgreSQL::Test::Utils::tempdir() . '/stage';
	runs('a stage beside', '--repository', $repository, 'restore', $backup_id, $beside);
	foreach my $case ([ $data, 'is a mount point' ], [ "$data/base", 'is mounted in it' ])
	{
		my ($mounted, $why) = @$case;
		my ($out, $message) = ('', '');
		IPC::Run::run([ 'unshare', '-Urm', 'sh', '-c',
				'mount --bind "$1" "$1" && exec backup_ext activate "$2" --pgdata "$3"', 'sh', $mounted, $beside, $data ],
			'>', \$out, '2>', \$message);
		is($? >> 8, 1, "$why: refused");
		like($message, qr/\Q$why\E.*hint: /s, "$why: says why, and what to do");
	}
}
start_activated($node);
same_dump(dump($node), $now, 'after all that, the server is what it was');
$node->stop;

#
# Debian's layout: the files in /etc stay in force; on a host without them their copies are.
#
SKIP:
{
	skip 'no pg_createcluster here', 1 if !-x '/usr/bin/pg_createcluster';
	my $root = PostgreSQL::Test::Utils::tempdir();
	my $version = major_version();
	my $bin = $node->config_data('--bindir');
	skip "pg_createcluster does not know $version", 1 if $bin ne "/usr/lib/postgresql/$version/bin";
	local $ENV{PG_CLUSTER_CONF_ROOT} = "$root/etc";
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $socket = PostgreSQL::Test::Utils::tempdir_short();
	my $main = "$root/$version/main";
	system_or_bail('pg_createcluster', $version, 'main', '-d', $main, '-s', $socket, '-p', $port,
		'-l', "$root/server.log", '--', '--auth=trust', '--username=postgres');
	my $etc = "$root/etc/$version/main";
	append_to_file("$etc/postgresql.conf", <<CONF);
shared_preload_libraries = 'backup_ext'
backup_ext.repository = '$root/repository'
backup_ext.enabled = off
external_pid_file = '$root/external.pid'
shared_buffers = 16MB
max_connections = 37
client_min_messages = warning
CONF
	# pg_ctlcluster itself writes its pid file below /run, for which a test has no right.
	my $starts = sub {
		my ($what) = @_;
		system_or_bail("$bin/pg_ctl", '-D', $main, '-w', '-l', "$root/server.log", '-o',
			"-c config_file=$etc/postgresql.conf", 'start');
		my $answer = '';
		foreach (1 .. 600)
		{
			$answer = `psql -XAtq -h $socket -p $port -U postgres -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null`;
			last if $answer eq "t\n";
			select(undef, undef, undef, 0.1);
		}
		is($answer, "t\n", "$what: Debian's server is up");
		return;
	};
	my $stops = sub { system_or_bail("$bin/pg_ctl", '-D', $main, '-w', '-m', 'fast', 'stop') };
	my $debian = { host => $socket, port => $port };
	local $ENV{PGUSER} = 'postgres';
	$starts->('made');
	staged_psql($debian, 'postgres', q{CREATE EXTENSION backup_ext; CREATE TABLE t AS SELECT generate_series(1, 100) AS i;
		ALTER SYSTEM SET work_mem = '11MB'});
	my $debian_id = staged_psql($debian, 'postgres', 'SELECT backup_now()');
	my $debian_then = dump($debian);
	staged_psql($debian, 'postgres', 'DROP TABLE t');
	my $debian_now = dump($debian);
	my $stage_id = staged_psql($debian, 'postgres', "SELECT backup_stage_restore('$debian_id', safety_backup => false)");
	$stops->();
	runs('Debian: activate', 'activate', $stage_id, '--pgdata', $main);
	ok(!-e "$main/postgresql.conf", "Debian: the stage's postgresql.conf is not in the way");
	$starts->('activated');
	same_dump(dump($debian), $debian_then, 'Debian: activated');
	is(staged_psql($debian, 'postgres', 'SHOW config_file'), "$etc/postgresql.conf", 'with the files of /etc');
	is(staged_psql($debian, 'postgres', 'SHOW work_mem'), '11MB', 'and what ALTER SYSTEM had set');
	my $next_id = staged_psql($debian, 'postgres', 'SELECT backup_now()');
	$stops->();
	runs('Debian: undo', 'undo', '--pgdata', $main);
	$starts->('back');
	same_dump(dump($debian), $debian_now, 'Debian: and back');
	$stops->();

	# Another host: no /etc, no data directory.
	my $bare = PostgreSQL::Test::Utils::tempdir();
	runs('a bare host', '--repository', "$root/repository", 'restore', $next_id, "$bare/restored");
	runs('activated there', 'activate', "$bare/restored", '--pgdata', "$bare/data");
	rename("$root/etc", "$root/etc.gone") or die;
	$main = "$bare/data";
	# The place of the socket is not one of the settings that a copy takes over.
	is(system_log("$bin/pg_ctl", '-D', $main, '-w', '-l', "$bare/server.log", '-o', "-k $socket", 'start'),
		0, 'a bare host: it starts with nothing but its data directory')
	  or diag(slurp_file("$bare/server.log"));
	my $answer = '';
	foreach (1 .. 600)
	{
		$answer = `psql -XAtq -h $socket -p $port -U postgres -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null`;
		last if $answer eq "t\n";
		select(undef, undef, undef, 0.1);
	}
	same_dump(dump($debian), $debian_then, 'a bare host: equal by dump');
	is(staged_psql($debian, 'postgres', 'SHOW max_connections'), '37', 'with the settings of its origin');
	is(slurp_file("$main/pg_hba.conf"), slurp_file("$root/etc.gone/$version/main/pg_hba.conf"),
		'and its rules of access');
	$stops->();
}

done_testing();
