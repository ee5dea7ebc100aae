# What the data directory remembers of its backups: a mount point that is not mounted is no place for
# a new repository.
use strict;
use warnings;
use BackupExtTest qw(new_node repository repository_files take_backup stage start_stage stop_stage
  fails_with);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
my $repository = repository($node);
my $state = $node->data_dir . '/backup_ext.state';
my $empty_directory_hint = qr/Check that its file system is mounted.*remove file "backup_ext.state"/;

sub check_row
{
	return $node->safe_psql('postgres',
		"SELECT status || ': ' || detail FROM backup_check() WHERE name = 'repository_memory'");
}

sub names_of_state
{
	return map { s{.*/}{}r } glob($node->data_dir . '/backup_ext.state*');
}

is(check_row(), 'ok: nothing is remembered yet', 'before the first backup');
my @ids = (take_backup($node), take_backup($node));
like(slurp_file($state), qr/\Q$repository\E.*\Q$ids[0]\E.*\Q$ids[1]\E/s, 'backups are remembered');
is(check_row(), 'ok: the repository is that of the last backup', 'and their repository');

#
# The memory is no part of a backup.
#
append_to_file("$state.0123456789abcdef.tmp", 'left by a crash');
push @ids, take_backup($node);
is_deeply([ names_of_state() ], ['backup_ext.state'], 'what a crash left is gone');
my $stage = stage($node, $ids[2]);
ok(!-e "$stage->{directory}/backup_ext.state", 'a stage begins without');

#
# Its file system is not mounted: an empty directory, or none.
#
rename($repository, "$repository.away") or die "could not rename: $!";
foreach my $case ('an empty directory', 'no directory')
{
	mkdir($repository, 0700) or die "could not create directory: $!" if $case eq 'an empty directory';
	fails_with($node, 'SELECT backup_now()', '58P01', qr/repository ".*" is not there any more/,
		$empty_directory_hint, "a backup where there is $case");
	fails_with($node, 'SELECT * FROM backup_list()', '58P01',
		qr/repository ".*" is not there any more/, $empty_directory_hint, "a list where there is $case");
	like(check_row(), qr/^error: repository ".*" is not there any more/, "backup_check() with $case");
	is_deeply([ repository_files($repository) ], [], "nothing was made where there is $case");
	rmdir($repository);
}
ok(!-e $repository, 'nothing was made at all');

# Another place is free, and is remembered from then on.
my $second = "$repository.second";
$node->safe_psql('postgres', "ALTER SYSTEM SET backup_ext.repository = '$second'");
$node->reload;
like(check_row(), qr/^ok: the last backup went to "\Q$repository\E"/, 'backup_check() names the old place');
my $there = take_backup($node);
unlike(slurp_file($state), qr/\Q$ids[2]\E/, 'backups that are not in the repository are forgotten');
like(slurp_file($state), qr/\Q$there\E/, 'the new one is remembered');

#
# Removed on purpose: without its memory the server makes a new repository.
#
rename($second, "$second.away") or die "could not rename: $!";
fails_with($node, 'SELECT backup_now()', '58P01', qr/is not there any more/, undef, 'removed');
unlink($state) or die "could not remove file: $!";
my $new = take_backup($node);

#
# Another repository of this cluster at the same place.
#
rename($second, "$second.new") or die "could not rename: $!";
rename("$second.away", $second) or die "could not rename: $!";
like(check_row(), qr/^warning: the repository was made at .*, that of the last backup at /,
	'backup_check() tells of another repository');
my $position = -s $node->logfile;
my $other = take_backup($node);
like(slurp_file($node->logfile, $position),
	qr/WARNING:  repository "\Q$second\E" is another than at the last backup/, 'and so does the log');
unlike(slurp_file($state), qr/\Q$new\E/, 'the backups of the one that is gone are forgotten');
is(check_row(), 'ok: the repository is that of the last backup', 'from then on it is the remembered one');

#
# A damaged memory, or one that cannot be written, costs a warning.
#
open(my $handle, '+<', $state) or die "could not open file: $!";
truncate($handle, 100) or die "could not truncate file: $!";
close($handle);
like(check_row(), qr/^warning: could not read file .*does not match its digest/, 'a torn memory');
$position = -s $node->logfile;
my $after_damage = take_backup($node);
like(slurp_file($node->logfile, $position), qr/WARNING:  could not read file .*backup_ext\.state/,
	'the log tells of it');
is(check_row(), 'ok: the repository is that of the last backup', 'it is written anew');

unlink($state) or die "could not remove file: $!";
mkdir($state) or die "could not create directory: $!";
$position = -s $node->logfile;
my $last = take_backup($node);
like(slurp_file($node->logfile, $position), qr/WARNING:  could not remember backup \Q$last\E/,
	'a memory that cannot be written is a warning');
is_deeply([ names_of_state() ], ['backup_ext.state'], 'and leaves no temporary');
is($node->safe_psql('postgres', "SELECT state FROM backup_list() WHERE backup_id = '$last'"),
	'complete', 'the backup is good');
rmdir($state);

#
# A standby has a copy of the memory, and repositories of its own.
#
$there = take_backup($node);
$node->backup('copy');
rename($second, "$second.elsewhere") or die "could not rename: $!";
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
like(slurp_file($standby->data_dir . '/backup_ext.state'), qr/\Q$there\E/, 'a copy of the directory has its memory');
$standby->start;
is($standby->safe_psql('postgres', q{SELECT status || ': ' || detail FROM backup_check()
	WHERE name = 'repository_memory'}), 'ok: nothing is remembered yet', 'which is not its own');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$node->safe_psql('postgres', 'CHECKPOINT');
take_backup($standby);
$standby->stop;
rename($second, "$second.of_standby") or die "could not rename: $!";
rename("$second.elsewhere", $second) or die "could not rename: $!";

$stage = stage($node, $last);
my $copy = start_stage($stage);
stop_stage($copy);
done_testing();
