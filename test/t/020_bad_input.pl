# Bad input: each is refused with its SQLSTATE, message and hint, changes nothing, and the next backup
# works.
use strict;
use warnings;
use BackupExtFaults qw(refuses_with state_of is_unchanged works_again hold_copying release_copying
  finish_sql wait_until);
use BackupExtTest qw(new_node repository);
use Fcntl qw(F_SETLK F_WRLCK SEEK_SET);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', no_repository => 1);
my $repository = repository($node);
my $base = $node->basedir;
my $data = $node->data_dir;

# Lines of postgresql.conf go into a file of their own: it can be emptied again.
my $extra_conf = "$data/extra.conf";
append_to_file($extra_conf, '');
$node->append_conf('postgresql.conf', q{include 'extra.conf'});

# Sets the repository as ALTER SYSTEM would not: the file system is not looked at.
sub configure_repository
{
	my ($directory) = @_;
	unlink($extra_conf);
	append_to_file($extra_conf, "backup_ext.repository = '$directory'\n");
	$node->reload;
	wait_until(
		sub { $node->safe_psql('postgres', 'SHOW backup_ext.repository') eq $directory },
		"repository $directory is read");
	return;
}

sub check_row
{
	my ($name) = @_;
	return $node->safe_psql('postgres',
		"SELECT status, detail, hint FROM backup_check() WHERE name = '$name'");
}

my %absolute_hint = (hint => 'Use an absolute path such as /var/lib/postgresql/backups.');
my $outside_hint =
  'The repository must be outside the data directory and every tablespace, so that losing them '
  . 'does not lose the backups. Set backup_ext.repository to another directory.';
my $writable_hint = 'The user that runs the server must be able to write there. Change the owner or '
  . 'the mode of the directory, or set backup_ext.repository to another one.';
my $parent_hint = 'Create it, or mount its file system. Only the last part of a repository\'s path '
  . 'is made when it is missing.';

#
# No repository is set.
#
my %unset = (
	state => '55000',
	message => 'no repository is set',
	hint => "Set one with ALTER SYSTEM SET backup_ext.repository = '/path/to/backups', then "
	  . 'SELECT pg_reload_conf().');
refuses_with($node, $_, \%unset)
  foreach ('SELECT backup_now()', 'SELECT * FROM backup_list()', 'SELECT backup_stage_restore()');
like(check_row('repository'), qr/^error\|no repository is set\|Set one with ALTER SYSTEM/,
	'backup_check() tells that no repository is set');

#
# Places that a repository cannot be in: refused by ALTER SYSTEM, and by the backup where the value
# came another way (a file, a mount that went away).
#
mkdir("$base/tablespace") or die;
mkdir("$base/read_only", 0500) or die;
mkdir("$base/closed", 0000) or die;
mkdir("$base/open_to_all") && chmod(0777, "$base/open_to_all") or die;
append_to_file("$base/file", 'no directory');
symlink("$base/nowhere", "$base/dangling") or die;
symlink($data, "$base/data_link") or die;
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$base/tablespace'");

foreach my $case (
	[ 'backups', { message => 'repository must be an absolute path', %absolute_hint } ],
	[ '/', { message => 'repository cannot be the root directory', %absolute_hint } ],
	[ "$base/../backups", { message => 'repository must not contain ".."', %absolute_hint } ],
	[
		's3://bucket/prefix',
		{ message => 'object storage is not supported by this version', %absolute_hint }
	],
	[
		"$data/backups",
		{
			message => 'repository must not be inside the data directory',
			hint => 'Choose a directory on another disk, or at least outside the data directory.'
		}
	],
	[
		"$base/data_link/backups",
		{
			message => 'repository must not be inside the data directory',
			hint => 'Choose a directory on another disk, or at least outside the data directory.'
		}
	])
{
	my ($directory, $wanted) = @$case;
	refuses_with($node, "ALTER SYSTEM SET backup_ext.repository = '$directory'",
		{ state => '22023', %$wanted }, what => "repository $directory");
}

foreach my $case (
	[
		"$base/none/backups", '58P01',
		{
			message => qq{could not find the parent directory "$base/none" of repository }
			  . qq{"$base/none/backups"},
			hint => $parent_hint
		}
	],
	[
		"$base/dangling", '58P01',
		{
			message => qq{repository "$base/dangling" is a symbolic link to nothing},
			hint => 'Create the directory that it points to, or mount its file system.'
		}
	],
	[
		"$base/file", '22023',
		{
			message => qq{repository "$base/file" is not a directory},
			hint => 'Set backup_ext.repository to a directory.'
		}
	],
	[
		"$base/read_only", '42501',
		{
			message => qq{could not write to repository "$base/read_only": Permission denied},
			hint => $writable_hint
		}
	],
	[
		"$base/read_only/backups", '42501',
		{
			message => q{could not write to the repository's parent directory }
			  . qq{"$base/read_only": Permission denied},
			hint => $writable_hint
		}
	],
	[
		"$base/closed/backups", '42501',
		{
			message => qr/^could not .*"\Q$base\E\/closed.*": Permission denied$/,
			hint => $writable_hint
		}
	],
	[
		"$base/open_to_all", '42501',
		{
			message => qq{repository "$base/open_to_all" can be written to by other users},
			detail => 'The mode of the directory is 0777.',
			hint => qq{Run "chmod 0700 $base/open_to_all".}
		}
	],
	[
		"$base/tablespace/backups", '22023',
		{
			message => qq{repository "$base/tablespace/backups" cannot be inside directory }
			  . qq{"$base/tablespace"},
			hint => $outside_hint
		}
	],
	[
		$base, '22023',
		{
			message => qq{repository "$base" cannot contain directory "$data"},
			hint => $outside_hint
		}
	])
{
	my ($directory, $state, $wanted) = @$case;
	# The check of a setting has one SQLSTATE only.
	refuses_with($node, "ALTER SYSTEM SET backup_ext.repository = '$directory'",
		{ state => '22023', %$wanted }, what => "ALTER SYSTEM to $directory");
	configure_repository($directory);
	refuses_with($node, 'SELECT backup_now()', { state => $state, %$wanted },
		what => "backup into $directory");
	like(check_row('repository'), qr/^error\|.+\|.+$/, "backup_check() tells of $directory");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), '0',
	'no slot is left of all these');
ok(!-e "$base/none" && !-e "$base/tablespace/backups" && !-e "$base/nowhere",
	'none of these places was made');

#
# A directory that holds something else.
#
mkdir("$base/occupied") or die;
append_to_file("$base/occupied/letter.txt", 'Dear diary');
configure_repository("$base/occupied");
refuses_with(
	$node,
	'SELECT backup_now()',
	{
		state => '58P02',
		message => qq{directory "$base/occupied" is not empty and holds no repository},
		detail => 'It contains "letter.txt".',
		hint => 'Set backup_ext.repository to an empty directory, or to one that does not exist yet. '
		  . 'If this was a repository, put its repository.json back.'
	});
is_deeply([ BackupExtTest::repository_files("$base/occupied") ],
	['letter.txt'], 'what the directory held is all that it holds');

#
# A repository of a newer format. The digest is that of these very bytes.
#
mkdir("$base/newer", 0700) or die;
append_to_file("$base/newer/repository.json", <<'JSON');
{
  "created_at": "2030-01-01T00:00:00.000000Z",
  "format_version": 2,
  "system_identifier": "7300000000000000000",
  "digest": "3b51df6c5557e78f701650f55ba4daac"
}
JSON
configure_repository("$base/newer");
foreach my $sql ('SELECT backup_now()', 'SELECT * FROM backup_list()', 'SELECT backup_stage_restore()')
{
	refuses_with(
		$node, $sql,
		{
			state => '0A000',
			message => qq{repository "$base/newer" was made by a newer version of backup_ext},
			detail => 'Reading "repository.json": cannot read repository of format version 2.',
			hint => 'Use the version that made it, or a newer one.'
		},
		what => "newer format: $sql");
}
is_deeply([ BackupExtTest::repository_files("$base/newer") ],
	['repository.json'], 'nothing was added to the repository of a newer format');

#
# From here on the node has a good repository.
#
configure_repository($repository);
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), '0',
	'before the first backup the list is empty');
ok(!-e $repository, 'and reading the list made no repository');
my $first = works_again($node, 'after all that was refused');
my $before = state_of($node);

#
# A repository of another cluster.
#
my $other = new_node('other', conf => { 'backup_ext.repository' => $repository });
my $identifier = q{SELECT system_identifier FROM pg_control_system()};
my ($its_id, $our_id) =
  map { $_->safe_psql('postgres', $identifier) } ($node, $other);
foreach my $sql ('SELECT backup_now()', 'SELECT * FROM backup_list()', 'SELECT backup_stage_restore()')
{
	refuses_with(
		$other, $sql,
		{
			state => '55000',
			message => qq{repository "$repository" belongs to another cluster},
			detail => "The repository was made for system identifier $its_id, this server's is $our_id.",
			hint => 'Every cluster needs a repository of its own. Set backup_ext.repository to another '
			  . 'directory.'
		},
		what => "another cluster: $sql");
}
$other->stop;
is_unchanged($node, $before, 'a repository of another cluster');

#
# Arguments.
#
my $kinds = q{Kinds are 'auto', 'full' and 'incremental'.};
refuses_with($node, q{SELECT backup_now(kind => 'differential')},
	{ state => '22023', message => 'invalid kind of backup: "differential"', hint => $kinds });
refuses_with(
	$node,
	q{SELECT backup_stage_restore('20260101-000000-00000000', safety_backup => false)},
	{
		state => '42704',
		message => 'backup "20260101-000000-00000000" does not exist',
		hint => 'See the list of backups: SELECT * FROM backup_list().'
	});
foreach my $id ('', '../../etc', "20260101-000000-0000000g", "$first/../$first")
{
	refuses_with($node, "SELECT backup_stage_restore('$id')",
		{
			state => '22023',
			message => qq{"$id" is not a backup id},
			hint => q{See backup_list() for the ids, or use 'latest'.}
		});
}
refuses_with($node, q{SELECT backup_discard_stage('stage-20260101-000000-00000000')},
	{
		state => '42704',
		message => 'stage stage-20260101-000000-00000000 does not exist',
		hint => 'See backup_staged() for the stages that exist.'
	});
refuses_with($node, q{SELECT backup_discard_stage('../main')},
	{
		state => '22023',
		message => '"../main" is not the id of a stage',
		hint => 'See backup_staged() for the stages that exist.'
	});
is($node->safe_psql('postgres', q{SELECT backup_cancel('job-of-nobody')}), 'f',
	'cancelling a job that does not exist is no error');

#
# Directories that a stage cannot be in. Known before the safety backup is taken: the list stays.
#
mkdir("$base/full") or die;
append_to_file("$base/full/letter.txt", 'Dear diary');
my $place_hint =
  'Choose a directory that has nothing to do with the running server or the repository.';
foreach my $case (
	[
		"$base/full", '58P02',
		{
			message => qq{directory "$base/full" is not empty},
			detail => 'It holds "letter.txt". A restore never writes over anything.',
			hint => 'Name a directory that is empty or does not exist.'
		}
	],
	[
		"$base/file", '22023',
		{
			message => qq{"$base/file" is not a directory},
			hint => 'Name a directory that is empty or does not exist.'
		}
	],
	[
		"$base/none/stage", '42704',
		{
			message => qq{directory "$base/none" does not exist},
			hint => 'Only the last part of the path is made by a restore. Make the directory above it '
			  . 'first.'
		}
	],
	[
		"$data/stage", '22023',
		{
			message => qq{cannot restore into directory "$data/stage"},
			detail => qq{It lies in "$data", which is a data directory.},
			hint => 'Choose a directory outside every data directory.'
		}
	],
	[
		"$base/tablespace/stage", '22023',
		{
			message => qq{cannot restore into directory "$base/tablespace/stage"},
			detail => qq{It is, lies in or contains "$base/tablespace", which is in use.},
			hint => $place_hint
		}
	],
	[
		"$repository/stage", '22023',
		{
			message => qq{cannot restore into directory "$repository/stage"},
			detail => qq{It is, lies in or contains "$repository", which is in use.},
			hint => $place_hint
		}
	],
	[
		$base, '22023',
		{
			message => qq{cannot restore into directory "$base"},
			detail => qr/^It is, lies in or contains ".+", which is in use\.$/,
			hint => $place_hint
		}
	],
	[
		'some/where', '22023',
		{
			message => 'directory "some/where" is neither an absolute path nor a single name',
			hint => 'Give an absolute path, or one name: a directory of that name is made below '
			  . 'backup_ext.staging_directory.'
		}
	],
	[
		"$base/a/../stage", '22023',
		{
			message => qq{cannot restore into directory "$base/a/../stage"},
			detail => 'The path must not contain "." or "..".',
			hint => 'Name a directory that is empty or does not exist, by its absolute path.'
		}
	],
	[
		"$base/read_only/stage", '42501',
		{
			message => qq{could not write to directory "$base/read_only": Permission denied},
			hint => 'Whoever restores must be able to write there. Change the owner or the mode of '
			  . 'the directory, or choose another one.'
		}
	])
{
	my ($directory, $state, $wanted) = @$case;
	refuses_with($node, "SELECT backup_stage_restore(directory => '$directory')",
		{ state => $state, %$wanted }, what => "stage in $directory");
}
is_unchanged($node, $before, 'stages that were refused');
is_deeply([ BackupExtTest::repository_files("$base/full") ],
	['letter.txt'], 'what the directory held is all that it holds');

#
# Two at once.
#
my $held = hold_copying($node);
my $job = $node->safe_psql('postgres', 'SELECT job_id FROM backup_progress()');
my %busy = (
	state => '55006',
	message => 'could not start backup: another is running',
	detail => "Job $job is taking a backup.",
	hint => "Wait for it, or end it with SELECT backup_cancel('$job').");
refuses_with($node, 'SELECT backup_now()', \%busy, what => 'a second backup');
refuses_with($node, 'SELECT backup_stage_restore()', \%busy, what => 'a second backup, for safety');
is($node->safe_psql('postgres', "SELECT backup_stage_restore(safety_backup => false) LIKE 'stage-%'"),
	't', 'a restore that takes no backup goes on beside it');
$node->safe_psql('postgres', 'SELECT backup_discard_stage(stage_id) FROM backup_staged()');
release_copying($node);
my ($status, $second, $error) = finish_sql($held);
is($status, 0, 'the first of two backups is not disturbed') or diag($error);
$before = state_of($node);
like($before->{listed}, qr/\Q$second\E/, 'and it is in the list');

# Another process, on this machine or on another that sees the same file system.
my $lock_path = "$repository/locks/writer.lock";
open(my $lock_file, '+<', $lock_path) or die "could not open $lock_path: $!";
truncate($lock_file, 0);
syswrite($lock_file, "backup x (PID 17 on elsewhere)\n");
# short type, whence; off_t start, length; pid_t.
my $whole_file = pack('s s x4 q q i x4', F_WRLCK, SEEK_SET, 0, 0, 0);
fcntl($lock_file, F_SETLK, $whole_file) or die "could not lock $lock_path: $!";
my %locked = (
	state => '55P03',
	message => qq{repository "$repository" is locked by another writer},
	detail => 'The lock is held by backup x (PID 17 on elsewhere).',
	hint => 'Wait until it has finished, or cancel it.');
refuses_with($node, 'SELECT backup_now()', \%locked, what => 'a writer on another server');
refuses_with(
	$node,
	'SELECT backup_stage_restore()',
	{
		%locked,
		message => qq{could not take the safety backup: $locked{message}},
		hint => 'Nothing was restored. Mend the cause, or call backup_stage_restore() with '
		  . 'safety_backup => false.'
	},
	what => 'a restore beside a writer on another server');
is_unchanged($node, $before, 'while another server writes');
close($lock_file);
works_again($node, 'after the other writer');

#
# Somebody who is no superuser.
#
$node->safe_psql('postgres', 'CREATE ROLE clerk LOGIN');
my @functions = (
	[ 'backup_now', 'SELECT backup_now()' ],
	[ 'backup_list', 'SELECT * FROM backup_list()' ],
	[ 'backup_progress', 'SELECT * FROM backup_progress()' ],
	[ 'backup_cancel', q{SELECT backup_cancel('x')} ],
	[ 'backup_check', 'SELECT * FROM backup_check()' ],
	[ 'backup_stage_restore', 'SELECT backup_stage_restore()' ],
	[ 'backup_staged', 'SELECT * FROM backup_staged()' ],
	[ 'backup_discard_stage', q{SELECT backup_discard_stage('x')} ]);
refuses_with($node, $_->[1],
	{ state => '42501', message => "permission denied for function $_->[0]" },
	user => 'clerk', what => "$_->[0] of a user without EXECUTE")
  foreach @functions;
$node->safe_psql('postgres', "GRANT EXECUTE ON FUNCTION $_->[0] TO clerk") foreach @functions;
my @clerk = (extra_params => [ '-U', 'clerk' ]);
my $clerks = $node->safe_psql('postgres', q{SELECT backup_now('of the clerk')}, @clerk);
is($node->safe_psql('postgres', q{SELECT backup_id FROM backup_list() WHERE label = 'of the clerk'},
		@clerk), $clerks, 'with EXECUTE a user takes and lists backups');
my $may_not = 'Only a superuser may name a path.';
my $one_name = q{Give one name (letters, digits, '.', '_', '-'): a directory of that name is made }
  . 'below backup_ext.staging_directory.';
foreach my $directory ("$base/stage", '../stage', '..', '.', '', 'a/b', '/')
{
	refuses_with($node,
		"SELECT backup_stage_restore(directory => '$directory', safety_backup => false)",
		{
			state => '42501',
			message => qq{permission denied to restore into directory "$directory"},
			detail => $may_not,
			hint => $one_name
		},
		user => 'clerk', what => qq{a path "$directory" of a user});
}
my $stage = $node->safe_psql('postgres',
	q{SELECT backup_stage_restore(directory => 'of_the_clerk', safety_backup => false)}, @clerk);
is($node->safe_psql('postgres',
		"SELECT directory, state FROM backup_staged() WHERE stage_id = '$stage'", @clerk),
	"$data.staged/of_the_clerk|ready", 'a single name of a user is a directory below the staging one');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage')", @clerk);
ok(!-e "$data.staged/of_the_clerk", 'and the user discards it');

#
# All that was refused left a cluster and a repository that work to the end.
#
my $copy = BackupExtTest::start_stage(BackupExtTest::stage($node, 'latest'));
is(BackupExtTest::staged_psql($copy, 'postgres', q{SELECT count(*) FROM pg_roles WHERE rolname = 'clerk'}),
	'1', 'the newest backup restores and starts');
BackupExtTest::stop_stage($copy);
BackupExtTest::nothing_left_running($node);
chmod(0700, "$base/closed", "$base/read_only");
$node->stop;

done_testing();
