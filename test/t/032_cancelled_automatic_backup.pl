# Who cancels the automatic backup does not want it now: it is left alone until the window opens again.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main',
	conf => { checkpoint_completion_target => '0', timezone => 'UTC', 'backup_ext.max_rate' => '1MB' });
my $held = qr/^ok\|the last run was cancelled, next try when the window opens again$/;
my $started = qr/LOG:  backup_ext: backup \S+ started: trigger schedule/;

sub copies
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', q{SELECT phase = 'copying files' FROM backup_progress()}),
		"$what: a backup runs by itself");
	return;
}

sub is_left_alone
{
	my ($what, $runs) = @_;
	launcher_says($node, $held, "$what: the launcher leaves it alone");
	is($node->safe_psql('postgres', q{SELECT status, detail FROM backup_check() WHERE name = 'schedule'}),
		'ok|automatic backups are on', "$what: it is no failure");
	$node->reload foreach 1 .. 3;
	launcher_says($node, $held, "$what: not even a reload begins it again");
	is(count_in_log($node, $started), $runs, "$what: no other was begun");
	BackupExtTest::nothing_left_running($node, $what);
	return;
}

configure($node, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window_around($node));
copies('the first');
is($node->safe_psql('postgres', 'SELECT backup_cancel(job_id) FROM backup_progress()'), 't',
	'it is cancelled');
is_left_alone('backup_cancel()', 1);

# The next window opens within a minute.
configure($node, 'backup_ext.window' => window($node, '1 minute', '1 hour'));
launcher_says($node, qr/^ok\|the window is closed/, 'until then it is closed');
copies('the next window');
is($node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM backup_progress()'), 't',
	'it is cancelled, too');
is_left_alone('pg_cancel_backend()', 2);

# A backup by hand is not held.
configure($node, 'backup_ext.max_rate' => '0');
BackupExtTest::take_backup($node);
launcher_says($node, qr/^ok\|the last good backup began/, 'and is as good');
is(backups($node), 'manual complete', 'only that one is in the list');

done_testing();
