# Media that change while a backup runs, backups that are cancelled in every phase of theirs, restores
# too, and the automatic backup with media.
use strict;
use warnings;
use BackupExtFaults qw(state_of is_unchanged hold_in_phase ways_to_cancel waiting_call cancel let_go finish_sql stop_server);
use BackupExtTest qw(new_node repository stage nothing_left_running);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $base = PostgreSQL::Test::Utils::tempdir();
my $tree = "$base/uploads";
my $python = 'test/media/tree.py';
system_or_bail('python3', $python, 'make', $tree);
my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	'backup_ext.media_directories' => $tree,
	'backup_ext.workers' => 2
});
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i');

sub content
{
	my ($path) = @_;
	return -e $path ? slurp_file($path) : 'none';
}

# Held between the two looks: the database waits for its checkpoint.
append_to_file("$tree/log", "first line\n");
append_to_file("$tree/deleted", "was there\n");
append_to_file("$tree/old name", "renamed\n");
my $call = 'SELECT backup_now(include_media => true)';
my ($run, $worker) = hold_in_phase($node, $call, 'waiting for checkpoint');
is($node->safe_psql('postgres', 'SELECT bytes_done > 80000000, bytes_total >= bytes_done, files_done > 300 FROM backup_progress()'),
	't|t|t', 'backup_progress() counts media');
append_to_file("$tree/log", "second line\n");
unlink("$tree/deleted") or die;
rename("$tree/old name", "$tree/new name") or die;
append_to_file("$tree/photos/late", "came late\n");
rename("$tree/photos.old", "$tree/photos.older") or die;
let_go($worker);
my ($status, $backup_id) = finish_sql($run);
is($status, 0, 'a backup while media change');
my $stage = stage($node, undef, include_media => 'true');
my $media = "$stage->{directory}.media/1";
is(content("$media/log"), "first line\nsecond line\n", 'what was appended');
is(content("$media/deleted"), "was there\n", 'what was deleted meanwhile is there: rows may name it');
is(content("$media/new name"), "renamed\n", 'under its new name');
is(content("$media/old name"), "renamed\n", 'and under its old one');
is(content("$media/photos/late"), "came late\n", 'what came late');
is(content("$media/photos.older/a"), content("$tree/photos.older/a"), 'in a directory that was renamed');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");

# While somebody writes all the time: whole lines at least up to the end of the database's backup.
my $writer = IPC::Run::start([ 'python3', '-c', <<'PYTHON', $tree ]);
import os, sys, time
top, i = sys.argv[1], 0
while not os.path.exists(top + '/stop'):
    with open(top + '/log', 'a') as log: log.write('line %d\n' % i)
    with open(top + '/replaced.new', 'w') as file: file.write('%d\n' % i * 1000)
    os.rename(top + '/replaced.new', top + '/replaced')
    i += 1
    time.sleep(0.002)
PYTHON
BackupExtFaults::wait_until(sub { -e "$tree/replaced" }, "the writer writes");
foreach my $round (1 .. 3)
{
	my $lines = split /\n/, slurp_file("$tree/log");
	$node->safe_psql('postgres', $call);
	my $after = stage($node, undef, include_media => 'true');
	my $directory = "$after->{directory}.media/1";
	my @lines = split /\n/, slurp_file("$directory/log");
	cmp_ok(scalar(@lines), '>=', $lines, "round $round: no line that was there before is missing");
	my %numbers = map { $_ => 1 } split /\n/, slurp_file("$directory/replaced");
	is(scalar(keys %numbers), 1, "round $round: a file that is replaced is one of its versions");
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$after->{stage_id}')");
}
append_to_file("$tree/stop", '');
$writer->finish;
unlink("$tree/stop");

# Cancelled, by every means, in the phases that media have.
my $before = state_of($node);
foreach my $phase ('estimating size of media', 'copying media files', 'reading media again')
{
	foreach my $way (ways_to_cancel())
	{
		my $what = "$phase, $way->{name}";
		my ($held, $pid) = hold_in_phase($node, waiting_call($call, $way), $phase);
		cancel($node, $way, $held, $pid, $what);
		is_unchanged($node, $before, $what);
	}
}
my $restore = "SELECT backup_stage_restore('latest', safety_backup => false, include_media => true)";
foreach my $way (ways_to_cancel())
{
	my $what = "writing media files, $way->{name}";
	my ($held, $pid) = hold_in_phase($node, waiting_call($restore, $way), 'writing media files');
	cancel($node, $way, $held, $pid, $what);
	is_unchanged($node, $before, $what);
	is_deeply([ glob($node->data_dir . '.staged/*') ], [], "$what: nothing is left");
}

# No time to clean up: the next backup does it.
my ($killed, $pid) = hold_in_phase($node, $call, 'reading media again');
stop_server($node, 'immediate', $killed, $pid, 'reading media again, immediate shutdown');
$node->safe_psql('postgres', $call);
my @backups = map { (split m{/})[-1] } glob(repository($node) . '/backups/*');
is_deeply([ sort @backups ], [ sort split /\n/, $node->safe_psql('postgres', 'SELECT backup_id FROM backup_list()') ],
	'nothing is left of the one that was killed');
is_deeply([ glob(repository($node) . '/backups/*/media-draft') ], [], 'no draft is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_verify()'), '0', 'and the next one is sound');

# A reader written from the document alone reads media too.
my $extracted = "$base/extracted";
my $reader = 'test/format_reader/read_repository.py';
system_or_bail('python3', $reader, repository($node), 'extract', 'latest', $extracted);
foreach my $path ('photos/2024/7.jpg', 'photos/large', 'sparse', 'zz third', 'link')
{
	is(content("$extracted/media/1/$path"), content("$tree/$path"), "by the independent reader: $path");
}

# By itself.
$node->append_conf('postgresql.conf', "backup_ext.media_on_schedule = on\nbackup_ext.enabled = on\nbackup_ext.window = '00:00-24:00'\n");
$node->safe_psql('postgres', 'SELECT backup_drop(backup_id, force => true) FROM backup_list()');
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM backup_list() WHERE trigger = 'schedule' AND media_bytes > 80000000}),
	'the automatic backup includes media');
$node->append_conf('postgresql.conf', "backup_ext.enabled = off\n");
$node->reload;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM backup_progress()');
nothing_left_running($node);
$node->stop;

done_testing();
