# A restore is ended by every means while it takes its safety backup and while it writes: it leaves no
# stage, no directory, no object and no slot, and the next one works.
use strict;
use warnings;
use BackupExtFaults qw(state_of is_unchanged works_again hold_copying release_copying hold_in_phase
  let_go finish_sql ways_to_cancel waiting_call cancel stop_server);
use BackupExtTest qw(new_node);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	'backup_ext.workers' => 2
});
my $staging = $node->data_dir . '.staged';
$node->safe_psql('postgres', 'CREATE TABLE kept AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g');
works_again($node, 'at the beginning', stage => 1);
my $before = state_of($node);

sub nothing_is_staged
{
	my ($what) = @_;
	opendir(my $directory, $staging) or die "could not open $staging: $!";
	is_deeply([ grep { !/^\.\.?$/ } readdir($directory) ], [], "$what: the staging directory is empty");
	closedir($directory);
	return;
}

my $call = 'SELECT backup_stage_restore(safety_backup => false)';
foreach my $way (ways_to_cancel())
{
	my $what = "writing files, $way->{name}";
	my ($run, $worker) = hold_in_phase($node, waiting_call($call, $way), 'writing files', 20);
	is($node->safe_psql('postgres', 'SELECT state FROM backup_staged()'),
		'building', "$what: the stage is being built") if !defined $way->{timeout_s};
	cancel($node, $way, $run, $worker, $what);
	is_unchanged($node, $before, $what);
	nothing_is_staged($what);
}

my ($run, $worker) = hold_in_phase($node, waiting_call($call), 'writing files', 20);
stop_server($node, 'fast', $run, $worker, 'writing files, fast shutdown');
is_unchanged($node, $before, 'writing files, fast shutdown');
nothing_is_staged('writing files, fast shutdown');

# A worker that had no time to clean up: its stage is shown as failed, and can be discarded.
($run, $worker) = hold_in_phase($node, waiting_call($call), 'writing files', 20);
stop_server($node, 'immediate', $run, $worker, 'writing files, immediate shutdown');
my ($stage_id, $directory) = split(/\|/,
	$node->safe_psql('postgres', q{SELECT stage_id, directory FROM backup_staged() WHERE state = 'failed'}));
ok(defined $stage_id && -d $directory, 'immediate shutdown: the stage is shown as failed');
ok(!-e "$directory/global/pg_control", 'immediate shutdown: no server can start on it');
works_again($node, 'beside a failed stage', stage => 1);
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage_id')");
nothing_is_staged('immediate shutdown, when the failed stage is discarded');

# The safety backup is part of the call: no backup is left of it, and nothing is restored.
$before = state_of($node);
foreach my $way (grep { $_->{name} =~ /backup_cancel|terminate_backend\(\) of the caller/ } ways_to_cancel())
{
	my $what = "safety backup, $way->{name}";
	$run = hold_copying($node, waiting_call('SELECT backup_stage_restore()', $way));
	cancel($node, $way, $run, undef, $what);
	release_copying($node);
	is_unchanged($node, $before, $what);
	nothing_is_staged($what);
}

# The last word about a stage cannot be written: it is listed all the same, and can be discarded.
($run, $worker) = hold_in_phase($node, waiting_call($call), 'syncing');
chmod(0500, $staging) or die "could not chmod: $!";
let_go($worker);
my ($status, $output, $error) = finish_sql($run);
isnt($status, 0, 'a stage that cannot be described as ready is an error');
like($error, qr/could not list stage "stage-\S+" as ready: .*Permission denied/, 'the error says so');
like($error, qr/HINT:  Remove it with SELECT backup_discard_stage\('stage-/, 'and what to do');
chmod(0700, $staging) or die "could not chmod: $!";
($stage_id, my $state) = split(/\|/, $node->safe_psql('postgres', 'SELECT stage_id, state FROM backup_staged()'));
is($state, 'failed', 'it is listed');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage_id')");
nothing_is_staged('when it is discarded');

works_again($node, 'after all', stage => 1);
my $copy = BackupExtTest::start_stage(BackupExtTest::stage($node, 'latest'));
is(BackupExtTest::staged_psql($copy, 'postgres', 'SELECT count(*) FROM kept'),
	'20000', 'the newest backup restores and starts');
BackupExtTest::stop_stage($copy);
$node->stop;

done_testing();
