# A promise that is not kept is told in the server log, again and again, and by backup_check().
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest qw(take_backup);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A window that passed while the server was down would be made up for at once.
my $node = BackupExtTest::new_node('main', conf => { 'backup_ext.catch_up' => 'off' });
configure($node, 'backup_ext.window' => window($node, '2 hours', '3 hours'));
my $warning = qr/WARNING:  backup_ext: no backup for too long: the newest good backup began \d+ hours ago/;
my $check = q{SELECT status FROM backup_check() WHERE name = 'last_backup'};

sub age
{
	my ($backup_id, $hours) = @_;
	system_or_bail('python3', 'test/format_reader/age_backup.py', BackupExtTest::repository($node), $backup_id, $hours);
}

my $backup_id = take_backup($node);
age($backup_id, 47);
my $position = log_position($node);
configure($node, 'backup_ext.enabled' => 'on');
launcher_says($node, qr/the window is closed/, 'the launcher has looked');
is($node->safe_psql('postgres', $check), 'ok', '47 hours: in order');
is(count_in_log($node, $warning, $position), 0, '47 hours: no warning');

age($backup_id, 4);
is($node->safe_psql('postgres', $check), 'error', '51 hours: an error of backup_check()');
configure($node, 'backup_ext.retention_keep' => '2');
wait_until(sub { count_in_log($node, $warning, $position) }, 'the warning');
like(log_since($node, $position), qr/began 51 hours ago\n.*HINT:  SELECT \* FROM backup_check\(\)/, '51 hours: a warning');
configure($node, 'backup_ext.retention_keep' => '3');
launcher_says($node, qr/the window is closed/, 'the launcher has looked again');
is(count_in_log($node, $warning, $position), 1, 'not at every look');
$node->restart;
wait_until(sub { count_in_log($node, $warning, $position) == 2 }, 'the warning after a restart');
pass('again after a restart');

# Nobody is warned of what was not promised.
configure($node, 'backup_ext.enabled' => 'off');
$position = log_position($node);
$node->restart;
is($node->safe_psql('postgres', $check), 'ok', 'switched off: in order');
launcher_says($node, qr/switched off/, 'switched off: the launcher has looked');
is(count_in_log($node, $warning, $position), 0, 'switched off: no warning');

done_testing();
