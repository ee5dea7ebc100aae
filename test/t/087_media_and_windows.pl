# Media that are too much for one window, and backups that fail after their media were copied: what was
# stored of media is not stored again.
use strict;
use warnings;
use BackupExtClock;
use BackupExtFaults qw(refuses_with);
use BackupExtJudges qw(succeeds);
use BackupExtSchedule;
use BackupExtTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = PostgreSQL::Test::Utils::tempdir() . '/uploads';
mkdir $tree or die $!;

# Content that does not compress, 10 MB a file: an interrupted backup keeps whole files, and 64 MB at least.
sub make_files
{
	my ($prefix, $count) = @_;
	foreach my $number (1 .. $count)
	{
		open(my $random, '<:raw', '/dev/urandom') or die $!;
		read($random, my $content, 10_000_000) == 10_000_000 or die $!;
		append_to_file("$tree/$prefix$number", $content);
	}
	return;
}
make_files('first', 12);

my $node = BackupExtTest::new_node('main', no_start => 1,
	conf => {
		checkpoint_completion_target => '0',
		timezone => 'UTC',
		autovacuum => 'off',
		max_replication_slots => '1',
		'backup_ext.enabled' => 'off',
		'backup_ext.retention' => '1000 days',
		'backup_ext.window' => '02:00-05:00',
		'backup_ext.window_end' => 'cancel',
		'backup_ext.media_directories' => $tree,
		'backup_ext.media_on_schedule' => 'on'
	});
set_clock('2031-06-01 09:00:00');
start_with_clock($node);
$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
configure($node, 'backup_ext.enabled' => 'on');
launcher_says($node, qr/^ok\|the window is closed$/, 'outside of the window');

sub kept_since
{
	my ($position) = @_;
	my ($kept) = log_since($node, $position) =~ /was interrupted: (\d+) bytes are kept for the next one/;
	return $kept // 0;
}

sub media_copied
{
	my ($bytes) = @_;
	return $node->poll_query_until('postgres',
		"SELECT phase = 'copying media files' AND bytes_done > $bytes FROM backup_progress()");
}

# cancel: the window closes while media are copied.
configure($node, 'backup_ext.max_rate' => '20MB');
my $position = log_position($node);
set_clock('2031-06-02 02:00:10', $node);
ok(media_copied(85_000_000), 'cancel: media are copied');
is($node->safe_psql('postgres', q{SELECT throttled_because LIKE '%max_rate%' FROM backup_progress()}), 't',
	'what slows media is told');
set_clock('2031-06-02 05:00:10', $node);
launcher_says($node, qr/^ok\|the window is closed, and cut its backup off: the next one goes on with it$/,
	'cancel: the window ends it');
like(log_since($node, $position), qr/LOG:  canceling backup because its window has closed/, 'cancel: it is said');
unlike(log_since($node, $position), qr/ kind full/, 'cancel: nothing of the database was begun');
my $kept = kept_since($position);
cmp_ok($kept, '>', 64_000_000, 'cancel: what was stored is kept');

configure($node, 'backup_ext.max_rate' => '0');
set_clock('2031-06-03 02:00:10', $node);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM backup_list() WHERE media_bytes = 120000000'),
	'cancel: the next window completes it');
cmp_ok($node->safe_psql('postgres', 'SELECT stored_bytes FROM backup_list()'), '<', 120_000_000 - $kept + 30_000_000,
	'cancel: what was stored is not stored again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_verify()'), '0', 'cancel: it is sound');

# throttle
make_files('second', 8);
configure($node, 'backup_ext.window_end' => 'throttle');
set_clock('2031-06-04 02:00:10', $node);
ok(media_copied(120_000_000), 'throttle: media are copied');
is($node->safe_psql('postgres', q{SELECT throttled_because LIKE '%window_end%' FROM backup_progress()}), 't',
	'throttle: it is told');
$node->safe_psql('postgres', q{SELECT backup_cancel(job_id) FROM backup_progress()});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()'), 'throttle: cancelled');
configure($node, 'backup_ext.enabled' => 'off');

# An error after the media were copied.
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('the_only_one')});
$position = log_position($node);
refuses_with($node, 'SELECT backup_now(include_media => true)', { state => '53400', message => qr/replication slots/, hint => qr/./ });
cmp_ok(kept_since($position), '>', 64_000_000, 'an error after the media: they are kept');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('the_only_one')});
BackupExtTest::nothing_left_running($node, 'an error after the media');
$node->safe_psql('postgres', 'SELECT backup_now(include_media => true)');
cmp_ok($node->safe_psql('postgres', 'SELECT stored_bytes FROM backup_list() LIMIT 1'), '<', 60_000_000,
	'and are not stored again');
my $stage = BackupExtTest::stage($node, 'latest', include_media => 'true');
succeeds('and are restored as they were', 'diff', '-r', $tree, "$stage->{directory}.media/1");
$node->stop;

done_testing();
