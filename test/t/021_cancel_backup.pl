# A backup is ended by every means in every phase: it leaves no backup in the list, no backup mode, no
# slot and no object, and the next one works. Ended after its commit, it stays.
use strict;
use warnings;
use BackupExtFaults qw(state_of is_unchanged works_again hold_copying release_copying
  hold_checkpointer hold_in_phase kill_server let_go wait_until start_sql finish_sql set_and_reload
  backup_mode_writes_pages ways_to_cancel waiting_call cancel send_cancel stop_server);
use BackupExtTest qw(new_node);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# full_page_writes off: then whole pages in the WAL give backup mode away.
my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border', full_page_writes => 'off',
	'backup_ext.workers' => 2
});
$node->safe_psql('postgres', 'CREATE TABLE kept AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g');
my $call = 'SELECT backup_now()';

# phase => how a backup is held in it: returns (run, process that stands still
# or undef, what was before where it is not $before).
my %phases = (
	'waiting for checkpoint' => sub {
		my ($way) = @_;
		my $checkpointer = hold_checkpointer($node);
		my $run = start_sql($node, waiting_call($call, $way));
		wait_until(
			sub {
				$node->safe_psql('postgres', q{SELECT count(*) FROM backup_progress()
					WHERE phase = 'waiting for checkpoint' AND pid IS NOT NULL});
			},
			'the backup waits for the checkpoint');
		return ($run, $checkpointer);
	},
	'copying files' => sub {
		my ($way) = @_;
		return (hold_copying($node, waiting_call($call, $way)), undef);
	},
	'waiting for WAL' => sub {
		my ($way) = @_;
		return hold_in_phase($node, waiting_call($call, $way), 'waiting for WAL');
	});
my %release = ('copying files' => sub { release_copying($node) });

works_again($node, 'at the beginning', stage => 1);
my $before = state_of($node);

# Shows what the checks below would see if backup mode were still on.
ok(!backup_mode_writes_pages($node), 'before a backup no whole page goes into the WAL');
my $run = hold_copying($node, waiting_call($call));
ok(backup_mode_writes_pages($node), 'control: during a backup whole pages do');
cancel($node, (ways_to_cancel())[0], $run, undef, 'control');
release_copying($node);
ok(!backup_mode_writes_pages($node), 'and not any more when it was cancelled');

foreach my $phase (sort keys %phases)
{
	foreach my $way (ways_to_cancel())
	{
		my $what = "$phase, $way->{name}";
		my ($waiting, $held, $as_before) = $phases{$phase}->($way);
		cancel($node, $way, $waiting, $held, $what);
		let_go($held) if defined $held;
		$release{$phase}->() if exists $release{$phase};
		is_unchanged($node, $as_before // $before, $what);
		ok(!backup_mode_writes_pages($node), "$what: backup mode is over");
	}

	my ($waiting, $held, $as_before) = $phases{$phase}->();
	stop_server($node, 'fast', $waiting, $held, "$phase, fast shutdown");
	$release{$phase}->() if exists $release{$phase};
	is_unchanged($node, $as_before // $before, "$phase, fast shutdown");

	# What lies in the repository then is for the next backup to sweep.
	($waiting, $held, $as_before) = $phases{$phase}->();
	stop_server($node, 'immediate', $waiting, $held, "$phase, immediate shutdown");
	$release{$phase}->() if exists $release{$phase};
	is(state_of($node)->{listed}, ($as_before // $before)->{listed},
		"$phase, immediate shutdown: the list is as before");

	works_again($node, "after all ways to end it in phase \"$phase\"");
	$before = state_of($node);
}

# Where little time is spent (only a full backup estimates): the server is stopped hard.
foreach my $phase ('estimating size', 'committing')
{
	my ($waiting, $held, $as_before) = hold_in_phase($node, waiting_call(q{SELECT backup_now(kind => 'full')}), $phase);
	stop_server($node, 'immediate', $waiting, $held, "$phase, immediate shutdown");
	is(state_of($node)->{listed}, $as_before->{listed}, "$phase, immediate shutdown: the list is as before");
	works_again($node, "after an immediate shutdown in phase \"$phase\"");
}

my $last = works_again($node, 'before the commits');
# After the commit: who waits is let go with his error, and the backup is there, whoever was told to end.
foreach my $way (ways_to_cancel())
{
	my $what = "removing old backups, $way->{name}";
	my ($waiting, $held) = hold_in_phase($node, waiting_call($call, $way), 'removing old backups');
	my $newest = q{SELECT backup_id FROM backup_list() WHERE state = 'complete' LIMIT 1};
	my $backup_id = $node->safe_psql('postgres', $newest);
	isnt($backup_id, $last, "$what: the backup is in the list");
	if ($way->{of_caller})
	{
		cancel($node, $way, $waiting, $held, $what);
	}
	else
	{
		send_cancel($node, $way, $held, $what);
		my ($status, $output, $error) = finish_sql($waiting);
		is("$status$error", '0', "$what: comes too late for the call");
		is($output, $backup_id, "$what: which returns the id");
	}
	wait_until(sub { $node->safe_psql('postgres', 'SELECT count(*) = 0 FROM backup_progress()') eq 't' },
		"$what: the job ends");
	is($node->safe_psql('postgres', $newest), $backup_id, "$what: the backup stays");
	is($node->safe_psql('postgres', "SELECT result, error FROM backup_history() WHERE backup_id = '$backup_id'"),
		'succeeded|', "$what: the history says that it succeeded");
	$last = works_again($node, $what);
}

# The server stopped hard, and killed: the run ends without a word of its own, and its backup is complete.
foreach my $mode ('immediate shutdown', 'kill')
{
	my $what = "removing old backups, $mode";
	my ($waiting, $held) = hold_in_phase($node, "$call;", 'removing old backups');
	my $backup_id = $node->safe_psql('postgres', 'SELECT backup_id FROM backup_list() LIMIT 1');
	isnt($backup_id, $last, "$what: the backup is in the list");
	if ($mode eq 'kill')
	{
		kill_server($node->data_dir);
		finish_sql($waiting);
		$node->kill9;
		$node->start;
	}
	else
	{
		stop_server($node, 'immediate', $waiting, $held, $what);
	}
	my $of_run = qq{SELECT count(*), min(h.result), bool_and(h.error IS NULL AND h.hint LIKE '%after the backup was complete%'
			AND (h.kind, h.finished_at, h.database_bytes, h.stored_bytes) = (b.kind, b.finished_at, b.database_bytes, b.stored_bytes)
			AND h.started_at < h.finished_at AND h.files > 0)
		FROM backup_history() h JOIN backup_list() b USING (backup_id) WHERE backup_id = '$backup_id'};
	is($node->safe_psql('postgres', $of_run), '1|succeeded|t', "$what: the history says that the backup is complete");
	is($node->safe_psql('postgres', 'SELECT last_success_id, coalesce(last_error_at > last_success_at, false) FROM backup_status()'),
		"$backup_id|f", "$what: backup_status() knows of no newer error");
	# The next run brings it into the repository before it removes anything.
	my ($run, $pid) = hold_in_phase($node, "$call;", 'committing');
	is(scalar(() = glob($node->data_dir . '/backup_ext/runs/*.json')), 1, "$what: the next run has brought it into the repository");
	let_go($pid);
	finish_sql($run);
	is($node->safe_psql('postgres', $of_run), '1|succeeded|t', "$what: the history says the same then");
	$last = works_again($node, $what);
	next if $mode ne 'kill';
	$node->safe_psql('postgres', "SELECT backup_drop('$backup_id')");
	is($node->safe_psql('postgres', "SELECT result FROM backup_history() WHERE backup_id = '$backup_id'"), 'succeeded',
		"$what: and when the backup is gone");
}

my $copy = BackupExtTest::start_stage(BackupExtTest::stage($node, 'latest'));
is(BackupExtTest::staged_psql($copy, 'postgres', 'SELECT count(*) FROM kept'),
	'20000', 'the newest backup restores and starts');
BackupExtTest::stop_stage($copy);
$node->stop;

done_testing();
