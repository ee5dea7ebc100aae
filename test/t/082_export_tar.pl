# Exports as tar: what pg_basebackup -Ft writes, in a directory or as one stream on standard output.
# Unpacked by tar, each is accepted by pg_verifybackup (from 18 on packed too) and starts a server.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtCompare qw(cluster_dump);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node major_version repository take_backup stop_stage staged_psql dump);

my $base = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('main', conf => { autovacuum => 'off' });
my $repository = repository($node);
my $data = $node->data_dir;

# Longer than a header of tar holds.
my $long = 'n' x 120;
append_to_file("$data/$long", 'a file with a long name');
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i');
my $simple_id = take_backup($node);
my $simple_dump = dump($node);

mkdir("$base/location") or die;
$node->safe_psql('postgres', "CREATE TABLESPACE apart LOCATION '$base/location'");
$node->safe_psql('postgres', 'CREATE TABLE in_apart TABLESPACE apart AS SELECT generate_series(1, 2000) AS i');
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'apart'});
my $auto_conf = slurp_file("$data/postgresql.auto.conf");
my $backup_id = take_backup($node);
my $dump = cluster_dump($node);

sub members
{
	my ($archive) = @_;
	my ($output, $error) = run_command([ 'tar', '-tf', $archive ]);
	is($error, '', "tar reads $archive without a word");
	# The server puts "./" before two names.
	return [ sort map { s{^\./}{}r } split(/\n/, $output) ];
}

# Packed where the server's tool can do that.
sub verify_packed
{
	my ($directory) = @_;
  SKIP:
	{
		skip 'pg_verifybackup reads tar from 18 on', 1 if major_version() < 18;
		succeeds("pg_verifybackup accepts $directory packed", 'pg_verifybackup', '-n', $directory);
	}
	return;
}

sub unpack_into
{
	my ($archive, $directory) = @_;
	mkdir($directory, 0700) or -d $directory or die "could not make $directory: $!";
	chmod(0700, $directory);
	succeeds("tar unpacks $archive", 'tar', '-xf', $archive, '-C', $directory);
	return;
}

#
# Into a directory, without and with tablespaces
#
system_or_bail('pg_basebackup', '-Ft', '-D', "$base/by_server", '-c', 'fast', '--no-sync', '-h', $node->host, '-p', $node->port)
  if unlink("$data/$long");
my $exported = program_json($repository, 0, 'export', $backup_id, "$base/tar", '--format', 'tar');
is_deeply([ sort grep { !/^\.\.?$/ } slurp_dir("$base/tar") ],
	[ sort('base.tar', 'pg_wal.tar', "$oid.tar", 'backup_manifest') ], 'base, WAL, tablespace, manifest');
is_deeply($exported->{tablespaces},
	[ { oid => $oid + 0, origin => "$base/location", directory => "$base/location" } ], 'the document names the tablespace');
my %ours = map { $_ => 1 } @{ members("$base/tar/base.tar") };
my %servers = map { $_ => 1 } @{ members("$base/by_server/base.tar") };
delete @servers{ grep { m{^backup_ext[./]} } keys %servers };
is(delete $ours{$long}, 1, 'the long name is in it');
is_deeply([ sort keys %ours ], [ sort keys %servers ], 'base.tar holds what that of pg_basebackup holds');
is_deeply(members("$base/tar/$oid.tar"), members("$base/by_server/$oid.tar"), 'so does that of the tablespace');
like(join(' ', @{ members("$base/tar/pg_wal.tar") }), qr/^[0-9A-F]{24} archive_status\/[0-9A-F]{24}\.done$/, 'pg_wal.tar holds WAL');
# The long name is beyond the server's tool, as beyond pg_basebackup.
my $without_long = take_backup($node);
program_json($repository, 0, 'export', $without_long, "$base/packed", '--format', 'tar');
verify_packed("$base/packed");

sub unpack_export
{
	my ($packed, $directory, $location) = @_;
	unpack_into("$packed/base.tar", $directory);
	unpack_into("$packed/pg_wal.tar", "$directory/pg_wal");
	unpack_into("$packed/$oid.tar", $location);
	system_or_bail('cp', "$packed/backup_manifest", $directory);
	# As pg_basebackup's plain format has it.
	symlink($location, "$directory/pg_tblspc/$oid") or die;
	return;
}
my $away = "$base/location.away";
$node->stop;
rename("$base/location", $away) or die;
unpack_export("$base/tar", "$base/unpacked", "$base/location");
is(slurp_file("$base/unpacked/$long"), 'a file with a long name', 'the file with the long name');
has_no_trace_of_us("$base/unpacked", $auto_conf, 'unpacked');
succeeds('pg_verifybackup accepts it unpacked, WAL included', 'pg_verifybackup', "$base/unpacked");
unlink("$base/unpacked/pg_tblspc/$oid") or die;
my $copy = start_export("$base/unpacked");
is(cluster_dump($copy), $dump, 'a server makes the link by tablespace_map, and is equal by dump');
amcheck_copy($copy);
stop_stage($copy);
succeeds('pg_checksums finds every page sound', 'pg_checksums', '-c', '-D', "$base/unpacked");

# The same with the tablespace elsewhere: the origin's place stays alone.
my $before = tree_state("$base/location");
program_json($repository, 0, 'export', $backup_id, "$base/mapped", '--format', 'tar', '--tablespace-mapping',
	"$base/location=$base/elsewhere");
unpack_export("$base/mapped", "$base/unpacked_mapped", "$base/elsewhere");
is(slurp_file("$base/unpacked_mapped/tablespace_map"), "$oid $base/elsewhere\n", 'tablespace_map names the new place');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/unpacked_mapped");
$copy = start_export("$base/unpacked_mapped");
is(cluster_dump($copy), $dump, 'mapped: equal by dump');
stop_stage($copy);
is_deeply(tree_state("$base/location"), $before, "the origin's place is untouched");

#
# One stream
#
sub stream
{
	my ($id, $file) = @_;
	my $error = '';
	IPC::Run::run([ 'backup_ext', '--repository', $repository, 'export', $id, '-', '--format', 'tar' ],
		'<', \undef, '>', $file, '2>', \$error);
	return ($? >> 8, $error);
}
my ($code, $error) = stream($simple_id, "$base/stream.tar");
is($code, 0, 'to standard output: exit code');
is($error, '', 'to standard output: no other word');
members("$base/stream.tar");
unpack_into("$base/stream.tar", "$base/streamed");
succeeds('pg_verifybackup accepts the stream, WAL included', 'pg_verifybackup', "$base/streamed");
$copy = start_export("$base/streamed");
same_dump(dump($copy), $simple_dump, 'a server from the stream is equal by dump');
stop_stage($copy);

($code, $error) = stream($backup_id, "$base/refused.tar");
is($code, 1, 'tablespaces do not fit into one stream');
like($error, qr/error: cannot write backup \Q$backup_id\E to one tar: it has tablespaces\n.*hint: Export it into a directory/s, 'and it says so');
is(-s "$base/refused.tar", 0, 'before the first byte');

# The other side of the pipe goes away.
my $head = IPC::Run::run([ 'backup_ext', '--repository', $repository, 'export', $simple_id, '-', '--format', 'tar' ],
	'<', \undef, '2>', \$error, '|', [ 'head', '-c', '100000' ], '>', '/dev/null');
like($error, qr/error: could not write.*Broken pipe/, 'a broken pipe is an error');

#
# Ctrl-C ends it in order.
#
ends_at_a_signal('export as plain files', { INT => 'fsync:when=20', TERM => 'mkdirat:when=10' }, "$base/canceled",
	'--repository', $repository, 'export', $simple_id, "$base/canceled");
ends_at_a_signal('export as tar', { INT => 'write:when=50', TERM => 'write:when=90' }, "$base/canceled",
	'--repository', $repository, 'export', $simple_id, "$base/canceled", '--format', 'tar');

#
# Refusals leave things as they were.
#
foreach my $case (
	[ 1, 'not empty', "$base/tar", qr/is not empty/ ],
	[ 2, 'in the repository', "$repository/x", qr/cannot restore into|cannot be/ ],
	[ 2, 'in a data directory', "$data/x", qr/is a data directory|cannot restore into/ ],
	[ 1, 'no directory above', "$base/no/where", qr/does not exist/ ])
{
	my ($expected, $what, $directory, $message) = @$case;
	foreach my $format (qw(plain tar))
	{
		my $document = program_json($repository, $expected, 'export', 'latest', $directory, '--format', $format);
		like($document->{error}{message}, $message, "$what, $format: message");
		ok($what eq 'not empty' || !-e $directory, "$what, $format: nothing is left");
	}
}

done_testing();
