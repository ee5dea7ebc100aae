# Media that change while a backup runs, backups that are cancelled in every phase of theirs, restores
# too, stages with media that died and are continued or discarded, and the automatic backup with media.
use strict;
use warnings;
use BackupExtFaults qw(state_of is_unchanged hold_in_phase ways_to_cancel waiting_call cancel let_go finish_sql stop_server
  wait_until);
use BackupExtJudges qw(same_dump);
use BackupExtMedia qw(make_tree same_tree);
use BackupExtProgram qw(program_json);
use BackupExtTest qw(new_node repository stage start_stage stop_stage dump nothing_left_running);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $base = PostgreSQL::Test::Utils::tempdir();
my $tree = "$base/uploads";
make_tree($tree);
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
wait_until(sub { -e "$tree/replaced" }, "the writer writes");
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

# The worker is killed while it writes media: the call of the hint continues, a discard removes all.
my $place = "$base/fast";
my $mapped = "$base/mapped";
mkdir($place) or die;
$node->safe_psql('postgres', "CREATE TABLESPACE fast LOCATION '$place'");
$node->safe_psql('postgres', 'CREATE TABLE apart TABLESPACE fast AS SELECT generate_series(1, 1000) AS i');
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $dump = dump($node);
my $held = $node->safe_psql('postgres', $call);
my $directory = $node->data_dir . '.staged/held';

sub staging_call
{
	my (@arguments) = @_;
	return 'SELECT backup_stage_restore('
	  . join(', ', "'$held'", q{directory => 'held'}, 'safety_backup => false', @arguments) . ')';
}
my $with_media = staging_call('include_media => true');

sub only_stage
{
	my %stage;
	@stage{qw(stage_id directory state start_command hint)} = split(/\|/, $node->safe_psql('postgres',
		'SELECT stage_id, directory, state, start_command, hint FROM backup_staged()'), -1);
	return \%stage;
}

sub is_whole
{
	my ($what) = @_;
	my $ready = only_stage();
	is($ready->{state}, 'ready', "$what: ready, and alone in the list");
	same_tree("$directory.media/1", $tree, "$what: the media");
	my $copy = start_stage($ready);
	same_dump(dump($copy), $dump, "$what: the database");
	stop_stage($copy);
	return;
}

# Returns the row of the stage that is left.
sub kill_while_writing_media
{
	my ($sql, $what) = @_;
	my ($killed, $pid) = hold_in_phase($node, "$sql;", 'writing media files', 20);
	ok(-e "$directory.media/1", "$what: media are on the way");
	kill('KILL', $pid);
	finish_sql($killed);
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	wait_until(sub { only_stage()->{state} eq 'failed' }, 'the stage is known to have failed');
	return only_stage();
}

sub follow_hint
{
	my ($failed, $expected_arguments, $what) = @_;
	my ($hinted) = $failed->{hint} =~ /^Continue it with (SELECT backup_stage_restore\(.*\)), or remove it with/;
	is($hinted, "SELECT backup_stage_restore('$held', directory => 'held'$expected_arguments)", "$what: the hint");
	$node->safe_psql('postgres', $hinted);
	is_whole($what);
	return;
}

sub is_gone
{
	my ($what) = @_;
	$node->safe_psql('postgres', 'SELECT backup_discard_stage(stage_id) FROM backup_staged()');
	is_deeply([ grep { -e } glob("$directory* $mapped") ], [], "$what: discarded, and nothing is left");
	return;
}

follow_hint(kill_while_writing_media($with_media, 'a fresh stage'), ', include_media => true', 'a fresh stage, continued');
append_to_file("$directory.media/1/stray", 'stray');
append_to_file("$directory.media/1/photos/2024/7.jpg", 'changed');
$node->safe_psql('postgres', $with_media);
is_whole('a refresh');
follow_hint(kill_while_writing_media($with_media, 'a refresh'), ', include_media => true', 'a refresh, continued');
kill_while_writing_media($with_media, 'a refresh');
is_gone('a refresh that died');
kill_while_writing_media($with_media, 'a fresh one');
is_gone('a fresh one that died');

# With a tablespace in its place, which the program, without one, gives up.
my $map = qq{tablespace_map => '{"fast": "$mapped"}'};
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'fast'});
my $with_map = staging_call('include_media => true', $map);
follow_hint(kill_while_writing_media($with_map, 'with a map'),
	qq{, include_media => true, tablespace_map => '{"$oid":"$mapped"}'}, 'with a map, continued');
ok(-e "$mapped/backup_ext_stage", 'the tablespace is where the map says');
kill_while_writing_media($with_map, 'for the program');
program_json(repository($node), 0, 'restore', $held, $directory);
same_tree("$directory.media/1", $tree, 'continued by the program: the media');
ok(!-e $mapped, 'continued by the program: the place that is not asked for is given up');
$node->safe_psql('postgres', $with_media);
is_whole('and refreshed by the server');

# A cancel of a refresh leaves one that can be continued; without media, those of before go.
my ($canceled, $canceled_pid) = hold_in_phase($node, "$with_media;", 'writing media files', 20);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($canceled_pid)");
let_go($canceled_pid);
my ($canceled_status, undef, $canceled_error) = finish_sql($canceled);
isnt($canceled_status, 0, 'a refresh that is cancelled fails');
like($canceled_error, qr/HINT:  .*again to continue it/, 'and says how it is continued');
follow_hint(only_stage(), ', include_media => true', 'a cancelled one, continued');
my ($told, $notices) = ('', '');
$node->psql('postgres', 'SET client_min_messages = notice; ' . staging_call(), stdout => \$told, stderr => \$notices);
like($notices, qr/NOTICE:  the media of the earlier stage, in "\Q$directory\E\.media", were removed/, 'a refresh without media tells what goes');
like($notices, qr/NOTICE:  backup $held holds \d+ bytes of media, which are not restored/, 'and what does not come');
ok(!-e "$directory.media", 'and they are gone');
is_gone('without media');

# All that is told at about the same time reaches who waits: those elsewhere go, and where the new ones are.
my $elsewhere = "$base/elsewhere";
program_json(repository($node), 0, 'restore', $held, $directory, '--media-directory', $elsewhere);
is($node->psql('postgres', "SET client_min_messages = notice; $with_media", stdout => \$told, stderr => \$notices),
	0, 'a refresh with media that were elsewhere');
like($notices, qr/NOTICE:  the media of the earlier stage, in "\Q$elsewhere\E", were removed\n.*NOTICE:  the media are in "\Q$directory\E\.media"/s,
	'tells what goes and where they are now, in this order');
is(scalar(() = $notices =~ /NOTICE:  the media /g), 2, 'each once');
is_gone('with media elsewhere');

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
