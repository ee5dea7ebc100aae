# Windows on a server: days of the week, a named time zone, nights on which the clocks are moved, and a
# clock that is set. One backup a window.
use strict;
use warnings;
use BackupExtClock;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main', no_start => 1,
	conf => {
		checkpoint_completion_target => '0',
		timezone => 'UTC',
		autovacuum => 'off',
		'backup_ext.enabled' => 'on',
		'backup_ext.catch_up' => 'off',
		'backup_ext.retention' => '1000 days',
		'backup_ext.timezone' => 'Europe/Berlin',
		'backup_ext.window' => 'Mon-Fri 04:00-05:00, Sat,Sun 02:15-02:45'
	});
my $expected = 0;

# The clock is set; no backup is due, whatever is looked at how often.
sub takes_none
{
	my ($utc, $reason, $what) = @_;
	set_clock($utc, $node);
	launcher_says($node, $reason, "$what: the reason");
	$node->reload foreach 1 .. 3;
	launcher_says($node, $reason, "$what: still");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), $expected, "$what: none is taken");
	return;
}

# The clock is set; one backup is taken, and no other in the same window.
sub takes_one
{
	my ($utc, $what) = @_;
	set_clock($utc, $node);
	$expected++;
	ok($node->poll_query_until('postgres', "SELECT count(*) = $expected FROM backup_list()"), "$what: one is taken");
	launcher_says($node, qr/^ok\|the last good backup began \d+ (s|min) ago$/, "$what: no other is due");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), $expected, "$what: one");
	return;
}

my $closed = qr/^ok\|the window is closed$/;

# 28 March 2026 is a Saturday, at UTC+1 until one o'clock UTC of Sunday.
set_clock('2026-03-28 00:50:00');
start_with_clock($node);
$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
launcher_says($node, qr/^ok\|the window is closed/, 'the window of Friday is over');

takes_one('2026-03-28 01:15:10', 'Saturday, 02:15');
takes_none('2026-03-28 01:50:00', qr/the window is closed/, 'Saturday, 02:50');
configure($node, 'backup_ext.catch_up' => 'on');
takes_none('2026-03-28 03:10:00', $closed, 'Saturday, 04:10: that is for Monday to Friday');
takes_none('2026-03-29 00:59:00', $closed, 'Sunday, 01:59');
takes_one('2026-03-29 01:00:10', 'Sunday, 03:00: the window lies in the hour that is skipped');
takes_none('2026-03-29 01:40:00', $closed, 'Sunday, 03:40');
takes_one('2026-03-30 02:10:00', 'Monday, 04:10');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_check() WHERE status = \'error\''), '0',
	'backup_check() finds no error');

# The clock is set back by a day: what was Monday comes again.
takes_none('2026-03-29 02:15:00', $closed, 'Sunday again');
takes_one('2026-03-30 02:15:00', 'Monday again: its backup was of another clock');

# The hour that comes twice.
takes_none('2026-10-24 23:00:00', qr/closed/, 'Sunday, 01:00');
takes_one('2026-10-25 00:15:10', 'Sunday, 02:15');
takes_none('2026-10-25 01:20:00', $closed, 'Sunday, 02:20 for the second time');

# Another zone, and a window across midnight that belongs to the day on which it opens.
configure($node, 'backup_ext.timezone' => 'Asia/Kathmandu', 'backup_ext.window' => 'Sun 23:00-01:00');
takes_none('2026-10-25 17:14:00', $closed, 'Kathmandu, 22:59');
takes_one('2026-10-25 18:20:00', 'Kathmandu, Monday, 00:05');
takes_none('2026-10-26 17:20:00', $closed, 'Kathmandu, Monday, 23:05');

# A backup by hand inside of the window is that backup; one before it is not.
configure($node, 'backup_ext.timezone' => 'UTC', 'backup_ext.window' => '02:00-05:00, 14:00-15:00');
set_clock('2026-10-27 01:50:00', $node);
BackupExtTest::take_backup($node);
$expected++;
takes_one('2026-10-27 02:00:10', 'a backup by hand before the window');
configure($node, 'backup_ext.enabled' => 'off');
set_clock('2026-10-27 14:01:00', $node);
BackupExtTest::take_backup($node);
$expected++;
configure($node, 'backup_ext.enabled' => 'on');
takes_none('2026-10-27 14:03:00', qr/^ok\|the last good backup began/, 'a backup by hand inside');

# It is one like any other.
my $stage = BackupExtTest::stage($node, 'latest');
my $copy = BackupExtTest::start_stage($stage);
is(BackupExtTest::dump($copy), BackupExtTest::dump($node), 'restored and started, it is equal by dump');
BackupExtTest::stop_stage($copy);

done_testing();
