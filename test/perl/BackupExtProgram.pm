# The program `backup_ext` and what it exports.
#
#   my ($code, $output, $error) = program($repository, 'list');
#   my $document = program_json($repository, 0, 'list');          # the exit code that is expected
#   my $copy = start_export($directory);                          # to be stopped by stop_stage()
package BackupExtProgram;

use strict;
use warnings;

use Exporter qw(import);
use File::Find qw(find);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtFaults qw(wait_until);
use BackupExtTest qw(start_stage);

our @EXPORT = qw(program ends_at_a_signal runs program_json start_export has_no_trace_of_us start_activated wait_for_recovery);

# (exit code, standard output, standard error). Without a repository where that is undef.
sub program
{
	my ($repository, @arguments) = @_;
	my ($output, $error) = ('', '');
	IPC::Run::run([ 'backup_ext', (defined $repository ? ('--repository', $repository) : ()), @arguments ],
		'<', \undef, '>', \$output, '2>', \$error);
	return ($? >> 8, $output, $error);
}

# Without naming a repository; it must succeed. Returns its standard output.
sub runs
{
	my ($what, @arguments) = @_;
	my ($code, $output, $error) = program(undef, @arguments);
	is($code, 0, $what) or diag("$output$error");
	return $output;
}

# It gets SIGINT before a system call, and SIGTERM before another one, each "name:when=count" as strace has
# it; both must come after the directory was made. It ends in order, and nothing is left of the directory.
sub ends_at_a_signal
{
	my ($what, $calls, $directory, @command) = @_;
  SKIP:
	{
		skip 'there is no strace', 1 if system('strace -o /dev/null true 2>/dev/null') != 0;
		foreach my $signal (qw(INT TERM))
		{
			my $trace = PostgreSQL::Test::Utils::tempdir() . '/trace';
			my ($output, $error) = ('', '');
			my ($name, $when) = split(/:/, $calls->{$signal});
			IPC::Run::run([ 'strace', '-f', '-o', $trace, '-e', "inject=$name:signal=$signal:$when", 'backup_ext', @command ],
				'<', \undef, '>', \$output, '2>', \$error);
			is($? >> 8, 1, "$what: SIG$signal is exit code 1");
			like($error, qr/^backup_ext: error: canceled by the user$/m, "$what: SIG$signal, and it says so");
			like(slurp_file($trace), qr/mkdir\w*\([^\n]*\Q$directory\E".*--- SIG$signal /s, "$what: it was at work");
			ok(!-e $directory, "$what: nothing is left");
		}
	}
	return;
}

# After an activation a node recovers first, and lets nobody in before that is over.
sub start_activated
{
	my ($node) = @_;
	$node->start;
	wait_for_recovery($node);
	return;
}

# poll_query_until() writes to psql, which may be gone by then: a broken pipe.
sub wait_for_recovery
{
	my ($node) = @_;
	wait_until(
		sub {
			my ($answer) = run_command([ 'psql', '-XAtc', 'SELECT NOT pg_is_in_recovery()', '-h', $node->host,
					'-p', $node->port, 'postgres' ]);
			return $answer eq 't';
		},
		'it comes up');
	return;
}

# Standard output must be one JSON document and nothing else, standard error empty.
sub program_json
{
	my ($repository, $expected_code, @arguments) = @_;
	my ($code, $output, $error) = program($repository, @arguments, '--json');
	is($code, $expected_code, "@arguments --json: exit code $expected_code") or diag($output, $error);
	is($error, '', "@arguments --json: nothing on standard error");
	my $document = eval { JSON::PP->new->utf8->decode($output) };
	ok(defined $document, "@arguments --json: one JSON document") or diag($@, $output);
	return $document // {};
}

# Started as it is, without our library: but for the socket, all settings are the export's own.
my $exports = 0;
sub start_export
{
	my ($directory) = @_;
	my $socket = PostgreSQL::Test::Utils::tempdir_short();
	$exports++;
	return start_stage(
		{
			stage_id => "export_$exports",
			directory => $directory,
			start_command => "pg_ctl -D '$directory' -l '$socket/log' -w -o \"-c port=5432"
			  . " -c unix_socket_directories='$socket' -c shared_preload_libraries=''\" start"
		});
}

# Before it is started: no name and no text of ours but what the origin has.
sub has_no_trace_of_us
{
	my ($directory, $auto_conf, $what) = @_;
	my @ours;
	find({ no_chdir => 1, wanted => sub { push @ours, $_ if m{/[^/]*backup_ext[^/]*$} } }, $directory);
	is_deeply(\@ours, [], "$what: no file of ours");
	ok(!-e "$directory/recovery.signal", "$what: no recovery.signal");
	is(slurp_file("$directory/postgresql.auto.conf"), $auto_conf, "$what: postgresql.auto.conf is the origin's");
	return;
}

1;
