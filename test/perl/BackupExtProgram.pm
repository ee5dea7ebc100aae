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

use BackupExtTest qw(start_stage);

our @EXPORT = qw(program runs program_json start_export has_no_trace_of_us start_activated);

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

# After an activation a node recovers first, and lets nobody in before that is over.
sub start_activated
{
	my ($node) = @_;
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'it does not come up';
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
