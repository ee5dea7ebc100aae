# Not enough space, for a backup and for a stage: an error that says so, nothing written or all of it
# removed again, and when there is space the next one works.
#
# Needs a small file system of its own that user postgres may write to: BACKUP_EXT_SMALL_FS names its
# directory. scripts/check_server.sh makes one.
use strict;
use warnings;
use BackupExtFaults qw(refuses_with state_of is_unchanged works_again);
use BackupExtTest qw(new_node);
use Errno qw(ENOSPC);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $small = $ENV{BACKUP_EXT_SMALL_FS};
plan skip_all => 'BACKUP_EXT_SMALL_FS does not name a small file system'
  if !defined $small || !-w $small;

my $repository = "$small/repository";
my $ballast = "$small/ballast";
my $node = new_node('main', conf => { 'backup_ext.repository' => $repository });

# Leaves that many bytes free.
sub fill_up
{
	my ($left_bytes) = @_;
	unlink($ballast);
	open(my $file, '>', $ballast) or die "could not create $ballast: $!";
	my $written = 0;
	foreach my $step (64 * 1024, 4096)
	{
		while (my $count = syswrite($file, "\x5a" x $step)) { $written += $count; }
		die "could not write $ballast: $!" if !$!{ENOSPC};
		die "$small is not small" if $written > 512 * 1024 * 1024;
	}
	truncate($file, $written - $left_bytes) or die "could not truncate $ballast: $!";
	close($file);
	return;
}

my %full = (
	state => '53100',
	message => qr/^could not .*"\Q$repository\E.*": No space left on device$/,
	hint => 'Free space on the file system that holds the repository, or keep backups for a shorter '
	  . 'time.');

# Not even a repository can be made.
fill_up(0);
refuses_with(
	$node,
	'SELECT backup_now()',
	{ %full, message => qr/^could not .*: No space left on device$/ },
	what => 'no room for a repository');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'),
	'0', 'no room for a repository: no backup is listed');

# It can be made, and the first backup does not fit.
fill_up(1024 * 1024);
refuses_with($node, 'SELECT backup_now()', \%full, what => 'no room for the first backup');
is_deeply([ grep { !m{^(repository\.json|locks/writer\.lock)$} }
		BackupExtTest::repository_files($repository) ],
	[], 'no room for the first backup: what was written is removed');
my $before = state_of($node);
unlink($ballast);
is_unchanged($node, $before, 'no room for the first backup');
works_again($node, 'when there is room', stage => 1);
$before = state_of($node);

# The second does not fit: the first is not touched, and can be restored from the full file system.
foreach my $left_bytes (0, 64 * 1024, 2 * 1024 * 1024)
{
	fill_up($left_bytes);
	my $what = "$left_bytes bytes are free";
	refuses_with($node, q{SELECT backup_now(kind => 'full')}, \%full, what => $what);
	is_unchanged($node, $before, $what);
}
like($node->safe_psql('postgres',
		q{SELECT status, detail, hint FROM backup_check() WHERE name = 'repository_space'}),
	qr/^warning\|\d+ bytes are free, the newest full backup took \d+\|Free space or move the repository/,
	'backup_check() warns before the next backup fails');
my $stage = BackupExtTest::stage($node, 'latest');
is($stage->{state}, 'ready', 'what is in the full repository can be restored');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
unlink($ballast);
works_again($node, 'when there is room again', stage => 1);
$before = state_of($node);

# A stage that does not fit is refused before anything is written, and before the safety backup.
mkdir("$small/empty") or die "could not create directory $small/empty: $!";
my %too_small = (
	state => '53100',
	detail => qr/^The restore needs \d+ bytes; \d+ bytes are free\.$/,
	hint => 'Free some space, or choose a directory on another file system.');
foreach my $case ([ "$small/stage", $small ], [ "$small/empty", "$small/empty" ])
{
	my ($directory, $named) = @$case;
	refuses_with(
		$node,
		"SELECT backup_stage_restore(directory => '$directory')",
		{ %too_small, message => qr/^not enough space in "\Q$named\E" to restore backup \S+$/ },
		what => "a stage in $directory");
}
ok(!-e "$small/stage", 'the stage that does not fit was not begun');
is_deeply([ BackupExtTest::repository_files("$small/empty") ],
	[], 'nor was the one in a directory that was there');
is_unchanged($node, $before, 'stages that do not fit');

my $copy = BackupExtTest::start_stage(BackupExtTest::stage($node, 'latest'));
is(BackupExtTest::staged_psql($copy, 'postgres', 'SELECT 1'), '1', 'the newest backup starts');
BackupExtTest::stop_stage($copy);
$node->stop;
system_or_bail('rm', '-rf', $repository, "$small/empty", $ballast);

done_testing();
