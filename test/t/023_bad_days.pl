# Bad days: the repository goes away half-way, the worker is killed, the server is not set up for
# backups. Clear errors, nothing left behind, and the next backup works.
use strict;
use warnings;
use BackupExtFaults qw(refuses_with is_error state_of is_unchanged works_again hold_copying
  release_copying hold_in_phase let_go finish_sql waiting_call wait_until set_and_reload);
use BackupExtTest qw(new_node repository repository_files);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	restart_after_crash => 'on', 'backup_ext.workers' => 2
});
my $repository = repository($node);
my $staging = $node->data_dir . '.staged';
works_again($node, 'at the beginning');
my $before = state_of($node);

sub check_row
{
	my ($on, $name) = @_;
	return $on->safe_psql('postgres',
		"SELECT status, detail, hint FROM backup_check() WHERE name = '$name'");
}

#
# The repository goes away and comes back.
#
sub move_away { rename($repository, "$repository.away") or die "could not rename: $!"; return; }
sub put_back { rename("$repository.away", $repository) or die "could not rename: $!"; return; }
sub close_it { chmod(0000, $repository) or die "could not chmod: $!"; return; }
sub open_it { chmod(0700, $repository) or die "could not chmod: $!"; return; }

my %gone = (
	state => '58P01',
	message => qq{repository "$repository" is no longer there},
	detail => 'The directory was removed, unmounted or replaced while it was in use.',
	hint => 'Mount it or put it back, then try again.');
my %closed = (
	state => '42501',
	message => qr/^could not .*"\Q$repository\E.*": Permission denied$/,
	hint => qr/^The user that runs (this must be able to read and|the server must be able to) write /);

my $run = hold_copying($node);
move_away();
release_copying($node);
my ($status, $output, $error) = finish_sql($run);
is_error($error, \%gone, 'the repository is moved away while a backup copies');
like(check_row($node, 'catalog'), qr/^error\|.+\|.+/, 'backup_check() tells that it is not there');
put_back();
is_unchanged($node, $before, 'the repository was moved away and back');

# An empty directory in its place: a mount point without its file system.
$run = hold_copying($node);
move_away();
mkdir($repository, 0700) or die;
release_copying($node);
($status, $output, $error) = finish_sql($run);
is_error($error, \%gone, 'an empty directory is in the place of the repository');
is_deeply([ repository_files($repository) ], [], 'and nothing was written into that one');
rmdir($repository) or die "could not remove $repository: $!";
put_back();
is_unchanged($node, $before, 'the repository was replaced and put back');

$run = hold_copying($node);
close_it();
release_copying($node);
($status, $output, $error) = finish_sql($run);
is_error($error, \%closed, 'the repository is closed while a backup copies');
like(check_row($node, 'catalog'), qr/^error\|.+/, 'backup_check() tells that it is closed');
refuses_with($node, 'SELECT backup_now()', \%closed, what => 'a backup into a closed repository');
open_it();
is_unchanged($node, $before, 'the repository was closed and opened');
works_again($node, 'after the repository had gone', stage => 1);
$before = state_of($node);

foreach my $case ([ 'moved away', \&move_away, \&put_back ], [ 'closed', \&close_it, \&open_it ])
{
	my ($name, $take, $give) = @$case;
	my ($restore, $worker) = hold_in_phase($node,
		waiting_call('SELECT backup_stage_restore(safety_backup => false)'), 'writing files', 20);
	$take->();
	let_go($worker);
	($status, $output, $error) = finish_sql($restore);
	if ($status != 0)
	{
		is_error($error, $name eq 'closed' ? \%closed : \%gone,
			"the repository is $name during a restore");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_staged()'),
			'0', "the repository is $name during a restore: no stage is left");
	}
	else
	{
		# Every pack was open already.
		chomp($output);
		is($node->safe_psql('postgres', 'SELECT stage_id, state FROM backup_staged()'),
			"$output|ready", "the repository is $name during a restore: the stage is whole");
		$node->safe_psql('postgres', "SELECT backup_discard_stage('$output')");
	}
	$give->();
	opendir(my $directory, $staging) or die "could not open $staging: $!";
	is_deeply([ grep { !/^\.\.?$/ } readdir($directory) ],
		[], "the repository was $name during a restore: the staging directory is empty");
	is_unchanged($node, $before, "the repository was $name during a restore");
}

# Gone before a restore begins.
move_away();
my %missing = (
	state => '58P01',
	message => qr/^repository "\Q$repository\E" does not exist$/,
	hint => qr/./);
refuses_with($node, 'SELECT backup_stage_restore(safety_backup => false)',
	\%missing, what => 'a restore without its repository');
put_back();
is_unchanged($node, $before, 'without the repository');

# Settings are handed over to parallel workers: a directory that is refused must not fail queries.
close_it();
my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;};
$node->safe_psql('postgres', q{CREATE TABLE scanned AS SELECT g FROM generate_series(1, 50000) g;
	ALTER TABLE scanned SET (parallel_workers = 2); ANALYZE scanned});
like($node->safe_psql('postgres',
		"$parallel EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM scanned"),
	qr/Workers Launched: [12]/, 'a parallel query works while the repository is closed');
open_it();

#
# The worker is killed: the server restarts by itself, and the next backup sweeps what is left.
#
$node->safe_psql('postgres', 'SELECT 1');
$run = hold_copying($node);
my $pid = $node->safe_psql('postgres', 'SELECT pid FROM backup_progress()');
isnt(scalar(grep { m{^tmp/} } repository_files($repository)), 0, 'the backup has begun to write');
kill('KILL', $pid);
($status, $output, $error) = finish_sql($run);
isnt($status, 0, 'the worker is killed: the call fails');
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
release_copying($node);
isnt(scalar(grep { m{^tmp/} } repository_files($repository)), 0, 'objects in the making are left');
is_unchanged($node, $before, 'the worker was killed');
ok($node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'backup_ext launcher'}),
	'the launcher is there again');
works_again($node, 'after the worker was killed', stage => 1);
$before = state_of($node);

#
# A server without a free slot, a free worker or enough WAL. One node, started again for each.
#
sub restart_with
{
	my (%conf) = @_;
	foreach my $name (keys %conf)
	{
		$node->adjust_conf('postgresql.conf', $name, $conf{$name});
	}
	$node->restart;
	return;
}

restart_with(max_replication_slots => 0);
refuses_with(
	$node,
	'SELECT backup_now()',
	{
		state => '55000',
		message => 'cannot take a backup while max_replication_slots is 0',
		detail => 'A temporary slot keeps the WAL of the backup until it is stored.',
		hint => 'Set max_replication_slots to 1 or more and restart the server.'
	});
is(check_row($node, 'replication_slots'),
	'error|max_replication_slots is 0: WAL cannot be held for a backup|'
	  . 'Set max_replication_slots to 1 or more and restart the server.',
	'backup_check() tells of max_replication_slots');
is_unchanged($node, $before, 'max_replication_slots = 0');

restart_with(max_replication_slots => 1);
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('of_somebody')});
refuses_with(
	$node,
	'SELECT backup_now()',
	{
		state => '53400',
		message => 'all replication slots are in use',
		hint => qr/^Free one or increase "?max_replication_slots"?\.$/
	});
is_unchanged($node, $before, 'all slots are used');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('of_somebody')});
works_again($node, 'with a free slot');
$before = state_of($node);

# One worker is the launcher, one that of logical replication.
restart_with(max_replication_slots => 10, max_worker_processes => 2);
refuses_with(
	$node,
	'SELECT backup_now()',
	{
		state => '53400',
		message => 'could not start job: no background worker is free',
		hint => 'Increase max_worker_processes, or wait until other background workers have ended.'
	});
is_unchanged($node, $before, 'no free background worker');
restart_with(max_worker_processes => 3);
works_again($node, 'with a free worker');
$before = state_of($node);

restart_with(max_worker_processes => 8, wal_level => 'minimal', max_wal_senders => 0);
refuses_with(
	$node,
	'SELECT backup_now()',
	{
		state => '55000',
		message => 'cannot take a backup while wal_level is minimal',
		detail => 'WAL of that level does not hold what a restored copy needs to become consistent.',
		hint => 'Set wal_level to replica (and max_wal_senders above 0) and restart the server.'
	});
is(check_row($node, 'wal_level'),
	'error|wal_level is minimal: no backup can be taken|Set wal_level to replica and restart the server.',
	'backup_check() tells of wal_level');
is_unchanged($node, $before, 'wal_level = minimal');
restart_with(wal_level => 'replica', max_wal_senders => 10);
works_again($node, 'with wal_level = replica');
$before = state_of($node);

#
# A standby whose primary writes no whole pages. What it knows is that of its last restartpoint.
#
$node->backup('seed');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'seed', has_streaming => 1);
$standby->append_conf('postgresql.conf', "backup_ext.repository = '" . repository($standby) . "'");
$standby->start;

sub set_full_page_writes
{
	my ($value, $status) = @_;
	set_and_reload($node, 'full_page_writes', $value, $value);
	wait_until(
		sub {
			$node->safe_psql('postgres', 'CHECKPOINT');
			$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
			$standby->safe_psql('postgres', 'CHECKPOINT');
			return check_row($standby, 'full_page_writes') =~ /^\Q$status\E\|/;
		},
		"the standby knows of full_page_writes = $value");
	return;
}

is(check_row($standby, 'full_page_writes'), 'ok|torn pages are mended by WAL during a backup|',
	'backup_check() of a standby finds full_page_writes on');
set_full_page_writes('off', 'error');
is(check_row($standby, 'full_page_writes'),
	'error|full_page_writes is off: a backup of a standby would be corrupt|'
	  . 'Switch full_page_writes on at the primary.',
	'backup_check() of a standby tells of full_page_writes');
is(check_row($node, 'full_page_writes'), 'ok|torn pages are mended by WAL during a backup|',
	'and for a backup of the primary it is no matter');
refuses_with(
	$standby,
	'SELECT backup_now()',
	{
		state => '55000',
		message => qr/full_page_writes=off/,
		hint => qr/Enable "?full_page_writes"? and run CHECKPOINT on the primary/
	},
	what => 'a backup of that standby');
set_full_page_writes('on', 'ok');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), '0', 'that left no backup');
works_again($standby, 'with full_page_writes on');
$standby->stop;
is_unchanged($node, $before, 'the standby');

#
# Without shared_preload_libraries.
#
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{''});
$node->restart;
my %not_loaded = (
	state => '55000',
	message => 'backup_ext is not loaded by the server',
	detail => 'Its background workers need shared memory that is reserved at server start.',
	hint => 'Add backup_ext to shared_preload_libraries and restart the server.');
refuses_with($node, $_, \%not_loaded, what => "not loaded: $_")
  foreach (
	'SELECT backup_now()',
	'SELECT * FROM backup_list()',
	'SELECT * FROM backup_progress()',
	q{SELECT backup_cancel('x')},
	'SELECT backup_stage_restore()',
	'SELECT * FROM backup_staged()',
	q{SELECT backup_discard_stage('x')});
is(check_row($node, 'preloaded'),
	'error|backup_ext is not in shared_preload_libraries|'
	  . 'Add it and restart the server: without it there are no background workers.',
	'not loaded: backup_check() tells');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{'backup_ext'});

#
# The server starts, whatever backup_ext.repository is.
#
foreach my $case (
	[ 'backups', qr/^error\|no repository is set\|/ ],
	[ "/nowhere/at/all", qr{^error\|could not find the parent directory "/nowhere/at" } ],
	[ "s3:\x{c3}\x{28}//\x01", qr/^error\|no repository is set\|.*pg_file_settings/ ],
	[ $node->data_dir, qr/^error\|repository ".+" cannot be inside directory/ ])
{
	my ($value, $row) = @$case;
	my $log_begin = -s $node->logfile;
	$node->adjust_conf('postgresql.conf', 'backup_ext.repository', "'$value'");
	$node->restart;
	like(check_row($node, 'repository'), $row, "started with \"$value\": backup_check() tells");
	my $log = substr(slurp_file($node->logfile), $log_begin);
	unlike($log, qr/(?:FATAL|PANIC|ERROR):(?!.*terminating)/,
		"started with \"$value\": the log has a warning at most");
}
$node->adjust_conf('postgresql.conf', 'backup_ext.repository', "'$repository'");
$node->restart;

is_unchanged($node, $before, 'at the end');
works_again($node, 'at the end');
my $copy = BackupExtTest::start_stage(BackupExtTest::stage($node, 'latest'));
is(BackupExtTest::staged_psql($copy, 'postgres', 'SELECT count(*) FROM scanned'),
	'50000', 'the newest backup restores and starts');
BackupExtTest::stop_stage($copy);
$node->stop;

done_testing();
