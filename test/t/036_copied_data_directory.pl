# Two servers started from one copied data directory: the second is refused, with both named. And a
# writer on another machine, alive or dead.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $original = BackupExtTest::new_node('original');
my $first = BackupExtTest::take_backup($original);
$original->stop;
$original->backup_fs_cold('cold');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($original, 'cold');
$original->start;
$copy->start;
my ($original_directory, $copy_directory) = map { $_->data_dir } $original, $copy;

sub sharing
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{SELECT status FROM backup_check() WHERE name = 'other_servers'});
}

sub is_refused
{
	my ($node, $theirs, $own, $what) = @_;
	my $error = BackupExtTest::fails_with($node, 'SELECT backup_now()', '55000',
		'is used by another server of this cluster', qr/need a repository each.*backup_drop\('\S+'\)/s);
	like($error, qr/on host "\S+" in "\Q$theirs\E", timeline 1.* on host "\S+" in "\Q$own\E", timeline 1\./,
		"$what: both are named");
	is(sharing($node), 'error', "$what: backup_check() tells it");
	return;
}

is_refused($copy, $original_directory, $copy_directory, 'the copy');
is(sharing($original), 'ok', 'the original has nothing to complain of');
BackupExtTest::take_backup($original);
is_refused($copy, $original_directory, $copy_directory, 'the copy again');

# By the schedule, too: a failure that backup_check() shows.
configure($copy, 'backup_ext.enabled' => 'on', 'backup_ext.window' => '00:00-24:00', timezone => 'UTC');
my $position = log_position($copy);
launcher_says($copy, qr/^ok\|the last good backup began/, 'the copy sees the original\'s backup');
configure($copy, 'backup_ext.enabled' => 'off');

# The original is gone: it was moved.
$original->stop;
is(sharing($copy), 'ok', 'the original is stopped: the copy is its successor');
my $of_copy = BackupExtTest::take_backup($copy);
BackupExtTest::take_backup($copy);

# And comes back by mistake.
$original->start;
is_refused($original, $copy_directory, $original_directory, 'the original that was succeeded');
is(sharing($copy), 'ok', 'the copy has nothing to complain of');
$copy->stop;
is_refused($original, $copy_directory, $original_directory, 'even while the copy is stopped');

# Whoever is the right one is told by dropping the other's backups.
$original->safe_psql('postgres',
	q{SELECT count(backup_drop(backup_id, force => true)) FROM backup_list() WHERE started_at >=
	  (SELECT started_at FROM backup_list() WHERE backup_id = '} . $of_copy . q{')});
my $last = BackupExtTest::take_backup($original);
my $stage = BackupExtTest::stage($original, $last);
my $restored = BackupExtTest::start_stage($stage);
is(BackupExtTest::dump($restored), BackupExtTest::dump($original), 'it is equal by dump');
BackupExtTest::stop_stage($restored);

#
# What a writer on another machine has left in the lock's file.
#
sub held_elsewhere
{
	my ($seconds) = @_;
	open(my $handle, '>', BackupExtTest::repository($original) . '/locks/writer.lock') or die $!;
	printf $handle "backup A (PID 1 on elsewhere)\nlease %s %020d %05d elsewhere\n", 'a' x 32, 1, $seconds;
	close($handle) or die $!;
	return;
}

held_elsewhere(3600);
BackupExtTest::fails_with($original, q{SET statement_timeout = '2s'; SELECT backup_now()}, '57014',
	'canceling statement due to statement timeout');
BackupExtTest::nothing_left_running($original, 'waiting for a writer that may be alive');
held_elsewhere(2);
BackupExtTest::take_backup($original);
unlike(slurp_file(BackupExtTest::repository($original) . '/locks/writer.lock'), qr/lease/,
	'a dead one has lost the lock, and who ends in order leaves no lease');

done_testing();
