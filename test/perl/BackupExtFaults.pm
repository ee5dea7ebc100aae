# For tests of bad input and bad days, on top of BackupExtTest: refusals field by field, jobs that are
# held in a phase until the test lets them go, and what must be as before when something failed.
#
# Nothing here depends on time: a backup is held by max_rate or by a stopped process, and whether a
# signal has arrived is read from the kernel.
package BackupExtFaults;

use strict;
use warnings;

use BackupExtTest qw(repository_files stage);
use Exporter qw(import);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT_OK = qw(refuses_with is_error start_sql finish_sql state_of is_unchanged works_again
  hold_copying release_copying hold_checkpointer hold_child kill_server hold_in_phase let_go wait_for_signal set_and_reload
  wait_until backup_mode_writes_pages ways_to_cancel waiting_call cancel send_cancel stop_server);

# Processes that are stopped: none may stay so when the test dies.
my %stopped;

END
{
	local $?;
	kill('CONT', keys %stopped);
}

# What psql -v VERBOSITY=verbose wrote about one error, by field: level, state, message, detail, hint.
sub field_of
{
	my ($error) = @_;
	my %field;
	foreach my $line (split(/\n/, $error))
	{
		if ($line =~ /(ERROR|FATAL|PANIC):\s+(\w{5}): (.*)$/ && !exists $field{level})
		{
			@field{qw(level state message)} = ($1, $2, $3);
		}
		$field{detail} //= $1 if $line =~ /^DETAIL:\s+(.*)$/;
		$field{hint} //= $1 if $line =~ /^HINT:\s+(.*)$/;
	}
	return \%field;
}

# SQL that must be refused with exactly this: %$wanted has state, message, detail and hint; a text
# is compared, a pattern matched, and what is not named must not be there.
# Options: what, user.
sub refuses_with
{
	my ($node, $sql, $wanted, %options) = @_;
	my ($output, $error) = ('', '');
	my @user = defined $options{user} ? ('-U', $options{user}) : ();
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$output, stderr => \$error,
		extra_params => \@user);
	return is_error($error, $wanted, $options{what} // $sql);
}

sub is_error
{
	my ($error, $wanted, $what) = @_;
	my $found = field_of($error);
	foreach my $field (qw(state message detail hint))
	{
		my $expected = $wanted->{$field};
		if (ref($expected) eq 'Regexp')
		{
			like($found->{$field} // '', $expected, "$what: $field");
		}
		else
		{
			is($found->{$field}, $expected, "$what: $field") or diag($error);
		}
	}
	return $found;
}

# SQL in the background, each line a statement; finish_sql() waits for its end and returns (status,
# output, error).
sub start_sql
{
	my ($node, $sql) = @_;
	my $run = { output => '', error => '' };
	# From a file: what comes through a pipe is sent only when somebody pumps.
	$run->{file} = PostgreSQL::Test::Utils::tempdir('sql') . '/call.sql';
	append_to_file($run->{file}, "\\set VERBOSITY verbose\n$sql\n");
	$run->{process} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f',
			$run->{file}
		],
		'<', \undef, '>', \$run->{output}, '2>', \$run->{error},
		IPC::Run::timeout(2 * $PostgreSQL::Test::Utils::timeout_default));
	return $run;
}

sub finish_sql
{
	my ($run) = @_;
	$run->{process}->finish;
	chomp($run->{output});
	return ($run->{process}->result(0), $run->{output}, $run->{error});
}

# What an operation that fails must leave as it was: the backups and stages that are listed, and
# every object of the repository.
sub state_of
{
	my ($node) = @_;
	return {
		listed => listed($node),
		files => [ grep { !/^tmp\b/ } repository_files(place($node)) ],
	};
}

# Where backups go now.
sub place
{
	my ($node) = @_;
	return $node->safe_psql('postgres', 'SHOW backup_ext.repository');
}

sub listed
{
	my ($node) = @_;
	# In one transaction, so that nothing of it can be of another moment. Without a repository
	# (moved away, refused) there is no list to read.
	my ($output, $error) = ('', '');
	$node->psql('postgres',
		q{SELECT 'backup', backup_id, state FROM backup_list() ORDER BY 2},
		stdout => \$output, stderr => \$error);
	my $staged = $node->safe_psql('postgres',
		q{SELECT 'stage', stage_id, state FROM backup_staged() ORDER BY 2});
	return join("\n", grep { $_ ne '' } $output, $staged);
}

# Nothing of ours runs (worker, job, slot), backup mode is over, and all is as state_of() told.
sub is_unchanged
{
	my ($node, $before, $what) = @_;
	my $running = q{SELECT format('%s workers, %s jobs, %s slots',
		(SELECT count(*) FROM pg_stat_activity
		 WHERE backend_type LIKE 'backup_ext%' AND backend_type NOT LIKE '%launcher'),
		(SELECT count(*) FROM backup_progress()),
		(SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'backup_ext%'))};
	# The worker tells its end a moment before its process is gone.
	$node->poll_query_until('postgres', $running, '0 workers, 0 jobs, 0 slots');
	is($node->safe_psql('postgres', $running), '0 workers, 0 jobs, 0 slots',
		"$what: nothing is left running");
	ok(!-e $node->data_dir . '/backup_label', "$what: no backup_label");
	my $after = state_of($node);
	is($after->{listed}, $before->{listed}, "$what: the lists are as before");
	is_deeply($after->{files}, $before->{files}, "$what: the repository is as before");
	return;
}

# The next backup works, and the repository holds nothing but what belongs to a backup in the list.
# With stage => 1 it is restored as well, every byte checked, and discarded again. Returns its id.
sub works_again
{
	my ($node, $what, %options) = @_;
	my ($output, $error) = ('', '');
	$node->psql('postgres', 'SELECT backup_now()', stdout => \$output, stderr => \$error);
	my $backup_id = $output;
	ok($error eq '' && $backup_id ne '', "$what: the next backup works") or diag($error);

	my %listed = map { $_ => 1 }
	  split(/\n/, $node->safe_psql('postgres', 'SELECT backup_id FROM backup_list()'));
	ok($listed{$backup_id}, "$what: the next backup is in the list");
	my @strays = grep {
		!(m{^(?:backups|packs)/([^/]+)/} && $listed{$1}) && !m{^(?:repository\.json|locks/writer\.lock)$}
	} repository_files(place($node));
	is_deeply(\@strays, [], "$what: the repository holds listed backups alone");

	return $backup_id unless $options{stage};
	my $stage = stage($node, $backup_id);
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
	ok(!-e $stage->{directory}, "$what: the stage can be discarded");
	return $backup_id;
}

# Starts SQL that takes a backup in the background; it stays in its copying phase until
# release_copying().
sub hold_copying
{
	my ($node, $sql) = @_;
	# So slow that it can be caught with something written, then so slow that it takes an hour.
	set_and_reload($node, 'backup_ext.max_rate', '1MB', '1MB');
	my $run = start_sql($node, $sql // 'SELECT backup_now();');
	wait_until(sub {
			return 1 if $node->safe_psql('postgres', q{SELECT count(*) FROM backup_progress()
				WHERE phase = 'copying files' AND bytes_done > 0});
			$run->{process}->pump_nb;
			die "the backup ended before it was held: $run->{error}" if $run->{error} ne '';
			return 0;
		}, 'the backup copies');
	set_and_reload($node, 'backup_ext.max_rate', '8kB', '8kB');
	return $run;
}

sub release_copying
{
	my ($node) = @_;
	set_and_reload($node, 'backup_ext.max_rate', undef, '0');
	return;
}

# undef resets. Waits until a new session shows the value: then the next worker has it too.
sub set_and_reload
{
	my ($node, $setting, $value, $shown) = @_;
	$node->safe_psql('postgres',
		defined $value ? "ALTER SYSTEM SET $setting = '$value'" : "ALTER SYSTEM RESET $setting");
	$node->reload;
	wait_until(sub { $node->safe_psql('postgres', "SHOW $setting") eq $shown },
		"setting $setting is read");
	return;
}

# Dies when $condition does not come true. No test by itself.
sub wait_until
{
	my ($condition, $what) = @_;
	my $end = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($condition->())
	{
		die "waited too long: $what" if Time::HiRes::time() > $end;
		usleep(20_000);
	}
	return;
}

# Stops the checkpointer, so that a backup stays in its wait for the checkpoint. let_go() ends it.
sub hold_checkpointer
{
	my ($node) = @_;
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
	stop_process($pid);
	return $pid;
}

# Stops a process of a server that lets nobody in yet, by what ps shows of it, as soon as it is there.
sub hold_child
{
	my ($data, $kind) = @_;
	my $pid;
	wait_until(sub { ($pid) = children_of($data, $kind) }, "the server has a $kind");
	stop_process($pid);
	return $pid;
}

sub children_of
{
	my ($data, $kind) = @_;
	my $postmaster = postmaster_of($data) // return ();
	return grep {
		my $status = eval { slurp_file("/proc/$_/status") } // '';
		my $title = eval { slurp_file("/proc/$_/cmdline") } // '';
		$status =~ /^PPid:\s+$postmaster$/m && index($title, $kind) >= 0
	} map { m{(\d+)$} } glob('/proc/[0-9]*');
}

sub postmaster_of
{
	my ($data) = @_;
	my $text = eval { slurp_file("$data/postmaster.pid") } // '';
	return $text =~ /^(\d+)$/m ? $1 : undef;
}

# Kills the postmaster and all its children at once, those that stand still too.
sub kill_server
{
	my ($data) = @_;
	my $postmaster = postmaster_of($data) // die 'no server to kill';
	my @processes = ($postmaster, children_of($data, ''));
	kill('KILL', @processes);
	delete @stopped{@processes};
	# A zombie is still a running server to the next one.
	wait_until(sub { !grep { process_state($_) ne '' } @processes }, 'all processes of the server end');
	return;
}

# Starts SQL in the background, and stops the worker of its job with all its threads in that phase: at
# its begin, or when it has done so many files in it. Returns (run, pid of the worker, state_of() just
# before); let_go(pid) lets it work on. The node must preload the module in test/border too.
sub hold_in_phase
{
	my ($node, $sql, $phase, $files, $undo) = @_;
	set_and_reload($node, 'border.stop_after_files', $files // 0, $files // 0);
	set_and_reload($node, 'border.stop_in_phase', $phase, $phase);
	my $before = state_of($node);
	my ($run, $pid);
	# With $files, the phase can be over before the worker is stopped: then the job ends, and it is
	# tried again, once $undo has taken away what it made.
	foreach my $attempt (1 .. 20)
	{
		$run = start_sql($node, $sql);
		wait_until(
			sub {
				$pid = $node->safe_psql('postgres', 'SELECT max(pid) FROM backup_progress()');
				$run->{process}->pump_nb;
				return process_state($pid) eq 'T' || !$run->{process}->pumpable;
			},
			"the worker stands still in phase \"$phase\"");
		last if process_state($pid) eq 'T';
		note("missed the worker in phase \"$phase\"");
		finish_sql($run);
		die "the job failed before it was held: $run->{error}" if $run->{error} ne '';
		$node->safe_psql('postgres', 'SELECT backup_discard_stage(stage_id) FROM backup_staged()');
		$undo->() if $undo;
	}
	die "could not hold a worker in phase \"$phase\"" if process_state($pid) ne 'T';
	$stopped{$pid} = 1;
	set_and_reload($node, 'border.stop_in_phase', undef, '');
	is($node->safe_psql('postgres', "SELECT phase FROM backup_progress() WHERE pid = $pid"),
		$phase, "a worker is held in phase \"$phase\"");
	return ($run, $pid, $before);
}

sub stop_process
{
	my ($pid) = @_;
	kill('STOP', $pid) or die "could not stop process $pid: $!";
	$stopped{$pid} = 1;
	wait_until(sub { process_state($pid) eq 'T' }, "process $pid stands still");
	return;
}

sub let_go
{
	my ($pid) = @_;
	kill('CONT', $pid);
	delete $stopped{$pid};
	return;
}

# One letter, as in ps; empty when there is no such process.
sub process_state
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return '';
	my $line = <$file> // '';
	return $line =~ /\) (\S)/ ? $1 : '';
}

# Waits until a stopped process has been sent a signal that it has not seen yet.
sub wait_for_signal
{
	my ($pid, $number) = @_;
	wait_until(
		sub {
			my $status = eval { slurp_file("/proc/$pid/status") } // return 1;
			my ($mask) = $status =~ /^ShdPnd:\s+([0-9a-f]{16})$/m;
			return 1 if !defined $mask;
			# 32 bits are enough for the signals of old.
			return hex(substr($mask, 8)) & (1 << ($number - 1));
		},
		"signal $number to process $pid");
	return;
}

# True while a backup is in its copying: then pages are written whole into the WAL although
# full_page_writes is off (which it must be), and that shows.
sub backup_mode_writes_pages
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{CREATE TABLE IF NOT EXISTS full_page_probe (i int);
		INSERT INTO full_page_probe VALUES (1);});
	return $node->safe_psql('postgres', q{CHECKPOINT;
		EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF)
		INSERT INTO full_page_probe VALUES (2);}) =~ /fpi=/;
}

# Every way to end a job that somebody waits for. Each: name, what is done, the signal that it sends to
# the worker, the error that the waiting session gets, and whether it is that session that is ended. $job
# has pid (of the worker), job_id and caller (PID of the waiting session).
sub ways_to_cancel
{
	my $by_worker = {
		state => qr/^57P01$/,
		message => qr/^(terminating job due to administrator command|background worker was terminated)$/
	};
	return (
		{
			name => 'pg_cancel_backend() of the caller',
			of_caller => 1,
			sql => sub { "SELECT pg_cancel_backend($_[0]{caller})" },
			signal => 2,
			error => { state => '57014', message => 'canceling statement due to user request' }
		},
		{
			name => 'pg_terminate_backend() of the caller',
			of_caller => 1,
			sql => sub { "SELECT pg_terminate_backend($_[0]{caller})" },
			signal => 2,
			error =>
			  { state => '57P01', message => 'terminating connection due to administrator command' }
		},
		{
			name => 'statement_timeout',
			of_caller => 1,
			sql => sub { '' },
			timeout_s => 8,
			signal => 2,
			error => { state => '57014', message => 'canceling statement due to statement timeout' }
		},
		{
			name => 'backup_cancel()',
			sql => sub { "SELECT backup_cancel('$_[0]{job_id}')" },
			signal => 2,
			error => {
				state => '57014',
				message => qr/^canceling (job|statement) due to user request$/
			}
		},
		{
			name => 'pg_cancel_backend() of the worker',
			sql => sub { "SELECT pg_cancel_backend($_[0]{pid})" },
			signal => 2,
			error => {
				state => '57014',
				message => qr/^canceling (job|statement) due to user request$/
			}
		},
		{
			name => 'pg_terminate_backend() of the worker',
			sql => sub { "SELECT pg_terminate_backend($_[0]{pid})" },
			signal => 15,
			error => $by_worker
		});
}

# The one job that runs, as ways_to_cancel() wants it.
sub running_job
{
	my ($node) = @_;
	my ($job_id, $pid, $caller) = split(/\|/,
		$node->safe_psql('postgres', q{SELECT job_id, pid,
			(SELECT pid FROM pg_stat_activity WHERE application_name = 'the caller')
			FROM backup_progress()}));
	return { job_id => $job_id, pid => $pid, caller => $caller };
}

# The call as ways_to_cancel() wants it made.
sub waiting_call
{
	my ($call, $way) = @_;
	my $timeout = $way->{timeout_s} // 0;
	return "SET application_name = 'the caller';\nSET statement_timeout = '${timeout}s';\n$call;";
}

# Cancels the job that $run waits for; $held is the process whose standing still holds it, if any.
# Checks the error that the caller gets.
sub cancel
{
	my ($node, $way, $run, $held, $what) = @_;
	send_cancel($node, $way, $held, $what);
	my ($status, $output, $error) = finish_sql($run);
	isnt($status, 0, "$what: the call fails");
	is($output, '', "$what: the call returns nothing");
	is_error($error, $way->{error}, $what);
	return;
}

# The same without waiting for the call's end.
sub send_cancel
{
	my ($node, $way, $held, $what) = @_;
	my $job = running_job($node);
	my $sql = $way->{sql}->($job);
	is($node->safe_psql('postgres', $sql), 't', "$what: is sent") if $sql ne '';
	if (defined $held && $held == $job->{pid})
	{
		wait_for_signal($held, $way->{signal});
		let_go($held);
	}
	return;
}

# Stops the server in that mode while a job runs. $held as in cancel(); a checkpointer that stands
# still is let go when the worker has ended.
sub stop_server
{
	my ($node, $mode, $run, $held, $what) = @_;
	my $job = running_job($node);
	my $signal = $mode eq 'immediate' ? 3 : 15;
	system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', $mode, '-W', 'stop');
	if (defined $held)
	{
		wait_for_signal($held, $signal) if $held == $job->{pid};
		wait_until(sub { process_state($job->{pid}) =~ /^[ZX]?$/ }, 'the worker ends')
		  if $held != $job->{pid};
		let_go($held);
	}
	my ($status) = finish_sql($run);
	isnt($status, 0, "$what: the call fails");
	wait_until(sub { !-e $node->data_dir . '/postmaster.pid' }, 'the server ends');
	$node->stop($mode, fail_ok => 1);
	$node->start;
	return;
}

1;
