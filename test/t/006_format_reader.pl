# A reader written from doc/repository_format.md alone (test/format_reader) reads a real repository:
# what it extracts equals the cluster's files and the stage's, and it refuses damage. It reads the
# worked example of the document too.
use strict;
use warnings;
use BackupExtTest;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Find qw(find);
use File::Path qw(make_path);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

my $program = "$FindBin::RealBin/../format_reader/read_repository.py";

# Nothing may write into a data file between the backup and the comparison.
my $node = BackupExtTest::new_node(
	'main',
	no_start => 1,
	conf => {
		autovacuum => 'off',
		bgwriter_lru_maxpages => 0,
		checkpoint_timeout => '1h',
		'backup_ext.workers' => 2
	});
# A configuration file from outside the data directory.
my $hba = $node->basedir . '/outside_hba.conf';
copy($node->data_dir . '/pg_hba.conf', $hba) or die "could not copy pg_hba.conf: $!";
$node->append_conf('postgresql.conf', "hba_file = '$hba'");
$node->start;

# A relation of many frames, small ones that share frames, large objects, a tablespace, an unlogged
# table, a label that is not ASCII.
my $space = $node->basedir . '/space';
mkdir($space) or die "could not create directory \"$space\": $!";
$node->safe_psql('postgres', "CREATE EXTENSION backup_ext; CREATE TABLESPACE side LOCATION '$space'");
$node->safe_psql(
	'postgres', q{
	CREATE TABLE large AS SELECT i, md5(i::text) AS text FROM generate_series(1, 60000) AS i;
	CREATE TABLE aside (i int PRIMARY KEY) TABLESPACE side;
	INSERT INTO aside SELECT generate_series(1, 5000);
	CREATE UNLOGGED TABLE volatile AS SELECT generate_series(1, 1000) AS i;
	SELECT lo_from_bytea(0, 'a large object');
	VACUUM (FREEZE, ANALYZE);
	CHECKPOINT;});
my $label = "M\xc3\xa4rz";
my $backup_id = BackupExtTest::take_backup($node, label => $label);
my $repository = BackupExtTest::repository($node);

# Runs it; returns standard output, standard error and whether it succeeded.
sub read_repository
{
	my @arguments = @_;
	my ($output, $error) = ('', '');
	my $success = IPC::Run::run([ 'python3', $program, @arguments ], '>', \$output, '2>', \$error);
	return ($output, $error, $success);
}

# Paths of all files below a directory, relative to it, as keys.
sub files_below
{
	my ($directory) = @_;
	my %files;
	find({ no_chdir => 1, follow_fast => 1, follow_skip => 2,
			wanted => sub { $files{ substr($_, length($directory) + 1) } = 1 if -f } }, $directory);
	return \%files;
}

# The wanted files that are not equal, byte for byte, in both directories.
sub different_files
{
	my ($directory, $other, @paths) = @_;
	return grep { slurp_file("$directory/$_") ne (-f "$other/$_" ? slurp_file("$other/$_") : '(none)') }
	  sort @paths;
}

my ($list, $error) = read_repository($repository, 'list');
like($list, qr/^\Q$backup_id\E\tfull\tcomplete\t\d+\t\d+\t\Q$label\E$/m, 'it lists the backup');
is($error, '', 'and complains about nothing');

my $directory = $node->basedir . '/extracted';
my ($output, $problem, $success) = read_repository($repository, 'extract', 'latest', $directory);
ok($success, 'it extracts the backup') or diag($problem);
my $extracted = files_below("$directory/data");

# The cluster as it is: everything that only a checkpoint or a transaction changes.
my @unchanged = grep { m{^(base|pg_tblspc|pg_xact|pg_multixact)/|^global/(?!pg_control)|^PG_VERSION$} }
  keys %$extracted;
cmp_ok(scalar(@unchanged), '>', 500, 'there is something to compare');
is_deeply([ different_files("$directory/data", $node->data_dir, @unchanged) ],
	[], "every file equals the cluster's");
is(slurp_file("$directory/outside/etc/0-outside_hba.conf"), slurp_file($hba),
	'and so does the configuration file from outside');

# Both ways: nothing of the cluster is lacking, but for what has no place in a backup.
my ($unlogged) = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('volatile')});
my $cluster = files_below($node->data_dir);
my @lacking = grep { !$extracted->{$_} && !m{^pg_wal/|/pg_internal\.init$|^postmaster\.|^backup_ext\.state$|^pg_(notify|subtrans|replslot|stat_tmp)/} }
  sort keys %$cluster;
like("@lacking", qr{^\Q$unlogged\E( \Q$unlogged\E_(fsm|vm))*$}, 'only the unlogged table is lacking');

# The stage: the same files, but for those that a restore writes itself.
my $stage = BackupExtTest::stage($node, $backup_id);
my @segments = grep { m{^pg_wal/[0-9A-F]{24}$} } sort keys %$extracted;
my %is_segment = map { $_ => 1 } @segments;
my @restored = grep { !m{^postgresql\.auto\.conf$} && !$is_segment{$_} } keys %$extracted;
is_deeply([ different_files("$directory/data", $stage->{directory}, @restored) ],
	[], "every file equals the stage's");

# WAL in the stage ends where the backup does.
my $stop = $node->safe_psql('postgres',
	"SELECT stop_lsn - '0/0' FROM backup_list() WHERE backup_id = '$backup_id'");
my $expected_wal = '';
my $staged_wal = '';
foreach my $path (@segments)
{
	my $segment = slurp_file("$directory/data/$path");
	my $begin = hex(substr($path, 15, 8)) * 2**32 + hex(substr($path, 23, 8)) * length($segment);
	my $needed = $stop - $begin < length($segment) ? $stop - $begin : length($segment);
	$expected_wal .= substr($segment, 0, $needed) . "\0" x (length($segment) - $needed);
	$staged_wal .= slurp_file("$stage->{directory}/$path");
}
cmp_ok(length($expected_wal), '>', 0, 'there is WAL to compare');
ok($expected_wal eq $staged_wal, 'and its WAL equals too, up to the end of the backup');

# One file by name.
my $one = $node->basedir . '/one';
($output, $problem, $success) = read_repository($repository, 'extract', $backup_id, $one, 'PG_VERSION');
ok($success, 'it extracts one file') or diag($problem);
is_deeply([ keys %{ files_below("$one/data") } ], ['PG_VERSION'], 'and nothing else');

# One changed byte, anywhere: the reader says in which section of the document it is at fault.
my @damages = (
	[ 'repository.json', 20, qr/Sealed JSON/ ],
	[ "backups/$backup_id/record.json", 40, qr/Sealed JSON/ ],
	[ "backups/$backup_id/manifest", 100, qr/Manifest: digest/ ],
	[ "packs/$backup_id/0-0.pack", 20, qr/Pack/ ],
	[ "packs/$backup_id/0-0.pack", 64 + 10, qr/Frame: header check/ ],
	[ "packs/$backup_id/0-0.pack", 64 + 48 + 5, qr/Frame: payload check/ ]);
foreach my $damage (@damages)
{
	my ($name, $offset, $expected) = @$damage;
	my $copy = PostgreSQL::Test::Utils::tempdir('damaged') . '/repository';
	PostgreSQL::Test::RecursiveCopy::copypath($repository, $copy);
	open(my $file, '+<:raw', "$copy/$name") or die "could not open \"$copy/$name\": $!";
	seek($file, $offset, 0);
	read($file, my $byte, 1);
	seek($file, $offset, 0);
	print $file chr(ord($byte) ^ 1);
	close($file);
	my $into = PostgreSQL::Test::Utils::tempdir('out') . '/extracted';
	($output, $problem, $success) = read_repository($copy, 'extract', $backup_id, $into);
	ok(!$success && $problem =~ $expected, "byte $offset of $name changed: refused")
	  or diag($problem);
}

$node->stop;

#
# The worked example of the document: its blocks, named by object, are a repository.
#
my $document = slurp_file("$FindBin::RealBin/../../doc/repository_format.md");
my $example = PostgreSQL::Test::Utils::tempdir('example') . '/repository';
my $objects = 0;
while ($document =~ /^```(json|xxd) (\S+)\n(.*?)^```$/msg)
{
	my ($form, $name, $text) = ($1, $2, $3);
	if ($form eq 'xxd')
	{
		my @lines = map { /^[0-9a-f]{8}: ((?:[0-9a-f]{2,4} )+) /; $1 } split(/\n/, $text);
		($text = join('', @lines)) =~ s/ //g;
		$text = pack('H*', $text);
	}
	make_path(dirname("$example/$name"));
	PostgreSQL::Test::Utils::append_to_file("$example/$name", $text);
	$objects++;
}
is($objects, 4, 'the worked example has four objects');
my $into = "$example.extracted";
($output, $problem, $success) = read_repository($example, 'extract', 'latest', $into);
ok($success, 'it is a repository') or diag($problem);
is(slurp_file("$into/data/PG_VERSION"), "15\n", 'its first small file');
is(slurp_file("$into/data/postgresql.auto.conf"), "max_connections = 20\n", 'its second');
is(-s "$into/data/base/16384", 16384, 'its relation');
ok(-d "$into/data/pg_tblspc/16393", 'its tablespace');
ok(!-e "$into/data/base/16390", 'without the file that is removed in the second section');
is(-s "$into/outside/etc/0-pg_hba.conf", 0, 'its configuration file');
my ($listed) = run_command([ 'backup_ext', '--repository', $example, 'list', '--json' ]);
like($listed, qr/"label": "example"/, 'the program lists it too');

done_testing();
