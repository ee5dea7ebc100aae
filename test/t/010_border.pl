# The border between C++ and PostgreSQL: the guard, the catch-all and the pause point, each beside
# the naive way, which shows what it prevents. Uses the module in test/border.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('border');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', <<'CONF');
border.note = 'before'
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext_border');
# Has another process after a crash, other than pg_postmaster_start_time().
my $checkpointer = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'};
my $checkpointer_at_start = $node->safe_psql('postgres', $checkpointer);

# Runs statements in one session, whatever they do to it, and compares its answers, a line each.
sub session_answers
{
	my ($name, @pairs) = @_;
	my (@statements, @expected);
	while (my ($statement, $answer) = splice(@pairs, 0, 2))
	{
		push @statements, $statement;
		push @expected, $answer;
	}
	my $output = $node->safe_psql('postgres', join(";\n", @statements));
	is($output, join("\n", @expected), $name);
	return;
}

# What error_of() of the module answers: every field of the error, and who called, once.
my $called_by = 'SQL statement; PL/pgSQL function';
my $everything =
  "BX001|cannot cross the border|The gate is closed.|Use the door.|at the border; $called_by";

sub error_of { return "SELECT error_of(\$statement\$SELECT $_[0]\$statement\$)"; }

#
# The guard: PostgreSQL's errors become exceptions.
#
session_answers(
	'a guarded error runs the destructors and comes out whole',
	error_of('border_error()'), $everything,
	'SELECT border_live_frames()', 0);
session_answers(
	'control: a naive error jumps over the destructors',
	error_of('border_naive_error()'), $everything,
	error_of('border_naive_error()'), $everything,
	'SELECT border_live_frames()', 2);
session_answers(
	q{errors of PostgreSQL's own functions keep their SQLSTATE},
	q{SELECT border_int4in('17')}, 17,
	error_of(q{border_int4in('x')}),
	qq{22P02|invalid input syntax for type integer: "x"|||$called_by},
	error_of(q{border_int4in('99999999999')}),
	qq{22003|value "99999999999" is out of range for type integer|||$called_by},
	'SELECT border_live_frames()', 0);
session_answers(
	'an error passes nested guards whole',
	error_of('border_nested_error()'), $everything,
	'SELECT border_live_frames()', 0);
session_answers(
	'after a guard caught an error the guard around it is in charge again',
	error_of('border_error_after_error()'), "22012|the second error|||$called_by",
	'SELECT border_live_frames()', 0);

my $restored = 'interrupts kept, cancels kept, memory context kept, resource owner kept, '
  . 'exception stack kept, context stack kept, lock released';
session_answers(
	'what a failed call changed is as before, and its lock is released',
	q{SELECT border_state_after_error('guard')}, $restored,
	q{SELECT border_state_after_error('uninterrupted')}, $restored);
session_answers(
	'control: PG_TRY with FlushErrorState opens what was held and keeps the lock',
	q{SELECT border_state_after_error('naive')},
	'interrupts lost, cancels lost, memory context lost, resource owner lost, '
	  . 'exception stack kept, context stack kept, lock still held');

session_answers(
	'an uninterrupted call is neither canceled nor terminated',
	q{SELECT border_call_with_pending('cancel', 'uninterrupted')}, 'still pending',
	q{SELECT border_call_with_pending('terminate', 'uninterrupted')}, 'still pending',
	'SELECT border_live_frames()', 0);
session_answers(
	'a guarded call that is canceled runs the destructors',
	error_of(q{border_call_with_pending('cancel', 'interruptible')}),
	"57014|canceling statement due to user request|||$called_by",
	'SELECT border_live_frames()', 0);
my ($status, $output, $complaint) = $node->psql('postgres',
	q{SELECT border_call_with_pending('terminate', 'interruptible')});
like($complaint, qr/FATAL:  terminating connection due to administrator command/,
	'control: a call that may be interrupted can end the process');

session_answers(
	'a thread is refused before PostgreSQL is entered',
	'SELECT border_call_from_thread()',
	'XX000|PostgreSQL was called from a thread|not entered');

#
# The catch-all: exceptions become PostgreSQL's errors.
#
session_answers(
	'every exception becomes an error, and the session lives on',
	error_of(q{border_throw('Error')}),
	"53100|could not write the page|The disk is full.|Make room for it.|$called_by",
	error_of(q{border_throw('PostgresError')}), $everything,
	error_of(q{border_throw('bad_alloc')}), "53200|out of memory|||$called_by",
	error_of(q{border_throw('runtime_error')}),
	"XX000|100% of %s went wrong|||$called_by",
	error_of(q{border_throw('int')}), "XX000|unknown C++ exception|||$called_by",
	'SELECT border_live_frames()', 0);
# 1023 bytes have room for 341 characters of three bytes, and for 511 of two: one byte stays free.
session_answers(
	'a message that is too long is cut between two characters',
	error_of(q{border_throw('long, 3')}), 'XX000|' . "\xE2\x82\xAC" x 341 . "|||$called_by",
	error_of(q{border_throw('long, 2')}), 'XX000|' . "\xC3\xA4" x 511 . "|||$called_by");

my $errors = 20_000;
my $growth = $node->safe_psql('postgres', "SELECT border_heap_growth('catch-all', $errors)");
cmp_ok($growth, '<', 100_000, "$errors errors through the catch-all leak nothing");
$growth = $node->safe_psql('postgres', "SELECT border_heap_growth('naive', $errors)");
cmp_ok($growth, '>', 5_000_000, 'control: errors raised inside a handler leak');

#
# The pause point: a worker with live threads.
#
my $running = $node->data_dir . '/border_running';
my $joined = $node->data_dir . '/border_joined';

sub wait_for_file
{
	my ($file) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if -s $file;
		usleep(100_000);
	}
	die "timed out waiting for file \"$file\"";
}

# Starts a worker whose main thread loops in the named way; returns when all its threads run.
sub start_worker
{
	my ($loop) = @_;
	unlink $running, $joined;
	my $pid = $node->safe_psql('postgres', "SELECT border_start_worker('$loop')");
	wait_for_file($running);
	return $pid;
}

# Waits until the postmaster has seen the worker's end; returns what the worker left: how many of
# its threads had ended when it was done with joining them.
sub wait_for_end
{
	my ($pid) = @_;
	$node->wait_for_log(qr/background worker "border" \(PID $pid\) exited with exit code 1\b/);
	return -e $joined ? slurp_file($joined) : 'not joined';
}

sub log_has
{
	my ($pattern, $from) = @_;
	return slurp_file($node->logfile, $from // 0) =~ $pattern;
}

foreach my $case (
	{
		name => 'terminate',
		loop => 'pause point',
		end => 'pg_terminate_backend(%d)',
		message => 'ERROR:  terminating job due to administrator command',
		left => '4 of 4'
	},
	{
		name => 'cancel',
		loop => 'pause point',
		end => 'pg_cancel_backend(%d)',
		message => 'ERROR:  canceling job due to user request',
		left => '4 of 4'
	},
	{
		name => 'cancel of the job',
		loop => 'canceled job',
		end => undef,
		message => 'ERROR:  canceling job due to user request',
		left => '4 of 4'
	},
	{
		name => 'control: terminate, CHECK_FOR_INTERRUPTS',
		loop => 'naive',
		end => 'pg_terminate_backend(%d)',
		message => 'FATAL:  terminating background worker "border" due to administrator command',
		left => 'not joined'
	},
	{
		name => 'control: cancel, CHECK_FOR_INTERRUPTS',
		loop => 'naive',
		end => 'pg_cancel_backend(%d)',
		message => 'ERROR:  canceling statement due to user request',
		left => 'not joined'
	})
{
	my $from = -s $node->logfile;
	my $pid = start_worker($case->{loop});
	$node->safe_psql('postgres', 'SELECT ' . sprintf($case->{end}, $pid)) if $case->{end};
	is(wait_for_end($pid), $case->{left},
		"$case->{name}: threads that ended before the process did");
	ok(log_has(qr/\Q$case->{message}\E/, $from), "$case->{name}: the message");
}

# Barriers: DROP DATABASE waits until every process has closed its files. Its own limit is there to
# fail instead of to hang; nothing here depends on how fast a process is.
my $patience = "SET statement_timeout = '${PostgreSQL::Test::Utils::timeout_default}s'";
my $pid = start_worker('pause point');
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
$node->safe_psql('postgres', "$patience; DROP DATABASE dropped");
pass('pause point: DROP DATABASE does not wait for the worker');
$node->safe_psql('postgres', 'CREATE DATABASE moved');
$node->safe_psql('postgres',
	"SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''");
$node->safe_psql('postgres', "$patience; ALTER DATABASE moved SET TABLESPACE elsewhere");
pass('pause point: ALTER DATABASE SET TABLESPACE does not wait for the worker');

my $note = "SELECT application_name FROM pg_stat_activity WHERE pid = $pid";
ok($node->poll_query_until('postgres', $note, 'before'), 'pause point: the setting at the start');
$node->append_conf('postgresql.conf', q{border.note = 'after'});
$node->reload;
ok($node->poll_query_until('postgres', $note, 'after'), 'pause point: a reload takes effect');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
is(wait_for_end($pid), '4 of 4', 'pause point: still ends well after all that');

$pid = start_worker('deaf');
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
($status, $output, $complaint) =
  $node->psql('postgres', q{SET statement_timeout = '2s'; DROP DATABASE dropped});
like($complaint, qr/canceling statement due to statement timeout/,
	'control: DROP DATABASE waits for a worker that serves no barrier');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
is(wait_for_end($pid), '4 of 4', 'control: the deaf worker ends');
$node->safe_psql('postgres', "$patience; DROP DATABASE dropped");
pass('control: DROP DATABASE succeeds once that worker is gone');

my $crash = qr/terminating any other active server processes/;
is($node->safe_psql('postgres', $checkpointer),
	$checkpointer_at_start, 'the server never restarted its processes');
ok(!log_has($crash), 'no process crashed');

# What the catch-all prevents is seen here, as it takes every session along.
$node->psql('postgres', q{SELECT border_naive_throw('Error')});
$node->wait_for_log(qr/terminated by signal 6/);
ok(log_has($crash), 'control: an exception that leaves our code crashes the server');
ok( $node->poll_query_until('postgres', $checkpointer =~ s/pid/pid <> $checkpointer_at_start/r),
	'control: and restarts its processes');

# Without its postmaster the worker is alone: nobody could end it.
$pid = start_worker('pause point');
$node->kill9;
wait_for_file($joined);
is(slurp_file($joined), '4 of 4', 'pause point: the worker ends when the postmaster is gone');

done_testing();
