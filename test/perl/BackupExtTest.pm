# What the TAP tests of backup_ext share, on top of PostgreSQL::Test::Cluster of 15 to 18.
#
#   use BackupExtTest;
#   my $node = BackupExtTest::new_node('main');           # preloaded, with a repository, started
#   my $load = BackupExtTest::start_load($node);          # pgbench in the background
#   my $backup_id = BackupExtTest::take_backup($node, label => 'x');
#   BackupExtTest::finish_load($load);
#   my $stage = BackupExtTest::stage($node, $backup_id);  # a row of backup_staged() as a hash
#   my $copy = BackupExtTest::start_stage($stage);        # by its start_command
#   is(BackupExtTest::dump($copy), BackupExtTest::dump($node), 'equal by dump');
#   BackupExtTest::stop_stage($copy);
#   BackupExtTest::nothing_left_running($node);
#
# Everything lies in the temporary directories of PostgreSQL::Test: private sockets, no network.
package BackupExtTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Find qw(find);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT_OK = qw(new_node major_version repository start_load finish_load take_backup stage start_stage
  stop_stage staged_psql try_psql dump repository_files is_clean_after nothing_left_running backup_mode_is_over
  wait_for fails_with);

# A node with the extension loaded and created, wal_level = replica, and a repository of its own that
# does not exist yet. Options: name => value lines of postgresql.conf in conf => {...}; extra => [...]
# for initdb; no_checksums, no_repository, no_start, no_extension => 1.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	my @checksums = $options{no_checksums} ? without_checksums() : ('--data-checksums');
	$node->init(allows_streaming => 1, extra => $options{extra} // \@checksums);
	my %conf = (
		shared_preload_libraries => 'backup_ext',
		shared_buffers => '16MB',
		max_connections => 30,
		max_worker_processes => 16,
		# What takes longer than three seconds shows its progress: on a slow machine that may be anything.
		client_min_messages => 'warning',
		'backup_ext.enabled' => 'off',
		%{ $options{conf} // {} });
	$conf{'backup_ext.repository'} //= repository($node) unless $options{no_repository};
	foreach my $setting (sort keys %conf)
	{
		(my $value = $conf{$setting}) =~ s/'/''/g;
		$node->append_conf('postgresql.conf', "$setting = '$value'");
	}
	return $node if $options{no_start};

	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext') unless $options{no_extension};
	return $node;
}

sub major_version
{
	my ($version) = run_command([ 'pg_config', '--version' ]);
	return $version =~ /^PostgreSQL (\d+)/ ? $1 : die "what version is \"$version\"?";
}

# 18 has them unless it is told.
sub without_checksums
{
	return major_version() >= 18 ? ('--no-data-checksums') : ();
}

# Beside the data directory, below what the test removes at its end.
sub repository
{
	my ($node) = @_;
	return $node->basedir . '/repository';
}

# pgbench in the background until finish_load(). Its tables are made first, at the given scale.
sub start_load
{
	my ($node, %options) = @_;
	my $scale = $options{scale} // 1;
	my $database = $options{database} // 'postgres';
	my $load = { node => $node, output => '' };

	$node->command_ok([ 'pgbench', '-q', '-i', '-s', $scale, $database ], 'pgbench makes its tables')
	  unless $options{no_init};
	# The environment of a node is private to its class before 16: everything by argument.
	$load->{process} = IPC::Run::start(
		[
			'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', $options{clients} // 4,
			'-b', $options{script} // 'tpcb-like', '-T', 3600, $database
		],
		'<', \undef, '>&', \$load->{output});
	wait_for($node, q{SELECT count(*) > 20 FROM pgbench_history}, 'pgbench runs', $database);
	return $load;
}

# Ends it, and returns how many transactions the server knows.
sub finish_load
{
	my ($load, $database) = @_;
	$load->{process}->signal('TERM');
	eval { $load->{process}->finish };
	return $load->{node}->safe_psql($database // 'postgres', 'SELECT count(*) FROM pgbench_history');
}

# Arguments of backup_now() by name, as text; returns the id.
sub take_backup
{
	my ($node, %arguments) = @_;
	my $backup_id = $node->safe_psql('postgres', 'SELECT backup_now(' . arguments(%arguments) . ')');
	like($backup_id, qr/^\S+$/, 'backup_now() returns an id');
	return $backup_id;
}

# Stages a backup ("latest" without one). Arguments of backup_stage_restore() by name; safety_backup
# is off unless asked for. Returns the row of backup_staged() as a hash, with pg_bin of the node.
sub stage
{
	my ($node, $backup_id, %arguments) = @_;
	my %all = (backup_id => $backup_id // 'latest', safety_backup => 'false', %arguments);
	my $stage_id = $node->safe_psql('postgres', 'SELECT backup_stage_restore(' . arguments(%all) . ')');
	like($stage_id, qr/^\S+$/, 'backup_stage_restore() returns an id');

	my @columns = qw(stage_id directory backup_id target state bytes start_command safety_backup_id);
	my $row = $node->safe_psql('postgres',
		'SELECT ' . join(', ', @columns) . " FROM backup_staged() WHERE stage_id = '$stage_id'");
	my %stage;
	@stage{@columns} = split(/\|/, $row, -1);
	is($stage{state}, 'ready', "stage $stage_id is ready");
	return \%stage;
}

# name => 'value' pairs as SQL. Everything is quoted: the server reads 'false' as a boolean too.
sub arguments
{
	my (%arguments) = @_;
	return join(', ',
		map { my $value = $arguments{$_}; $value =~ s/'/''/g; "$_ => '$value'" } sort keys %arguments);
}

# Starts a stage by its start_command and waits until it takes writes. Returns a hash with host and
# port of its socket. What is still running when the test ends is stopped.
my %running;
sub start_stage
{
	my ($stage) = @_;
	my $log = "$PostgreSQL::Test::Utils::log_path/stage_$stage->{stage_id}.log";
	my $status = system("{ $stage->{start_command}\n} > '$log' 2>&1 < /dev/null");
	is($status, 0, 'the start_command of the stage works') or diag(slurp_file($log));
	$running{ $stage->{directory} } = 1 if $status == 0;

	# postmaster.pid: line 4 is the port, line 5 the directory of the socket.
	my @lines = split(/\n/, slurp_file("$stage->{directory}/postmaster.pid"));
	my $copy = { stage => $stage, port => $lines[3], host => $lines[4] };
	foreach my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($result) = try_psql($copy, 'postgres', 'SELECT pg_is_in_recovery()');
		return $copy if $result eq 'f';
		usleep(100_000);
	}
	BAIL_OUT("stage \"$stage->{stage_id}\" did not end its recovery");
}

sub stop_stage
{
	my ($copy) = @_;
	my $directory = $copy->{stage}{directory};
	system_or_bail('pg_ctl', '-D', $directory, '-m', 'fast', '-w', 'stop');
	delete $running{$directory};
}

END
{
	# Not to change the exit status of the test.
	local $?;
	system_log('pg_ctl', '-D', $_, '-m', 'immediate', '-w', 'stop') foreach keys %running;
}

# (standard output, standard error) of SQL in a started stage.
sub try_psql
{
	my ($copy, $database, $sql) = @_;
	my ($output, $error) = ('', '');
	IPC::Run::run(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $copy->{host}, '-p', $copy->{port},
			'-d', $database, '-f', '-'
		],
		'<', \$sql, '>', \$output, '2>', \$error);
	chomp($output, $error);
	return ($output, $error);
}

# SQL in a started stage, which must work.
sub staged_psql
{
	my ($copy, $database, $sql) = @_;
	my ($output, $error) = try_psql($copy, $database, $sql);
	die "error of the stage for \"$sql\": $error\n" if $error ne '';
	return $output;
}

# Text of pg_dump of one database of a node or a started stage, to compare. Options of pg_dump follow.
# The lines with a key that newer versions make up at random are left out.
sub dump
{
	my ($node, $database, @options) = @_;
	my ($host, $port) =
	  ref($node) eq 'HASH' ? ($node->{host}, $node->{port}) : ($node->host, $node->port);
	my ($output, $error) = run_command(
		[ 'pg_dump', '-h', $host, '-p', $port, @options, '-d', $database // 'postgres' ]);
	die "pg_dump failed: $error\n" if $output eq '';
	return join("\n", grep { !/^\\(un)?restrict / } split(/\n/, $output)) . "\n";
}

# Sorted paths of every file of a repository, relative to it; nothing when there is none. The history
# is left out: each run adds to it, failed ones too.
sub repository_files
{
	my ($repository) = @_;
	my @files;
	return () unless -d $repository;
	find({ no_chdir => 1, wanted => sub {
			push @files, substr($_, length($repository) + 1) if -f || -l } }, $repository);
	return sort grep { !m{^history/} } @files;
}

# After an operation that failed or was cancelled: the repository has the same files as before it
# (@$before of repository_files()), nothing is listed that was not, and nothing is left running.
# Files that match $allowed (the sign of the repository, say) may have come.
sub is_clean_after
{
	my ($node, $what, $before, $allowed) = @_;
	my %known = map { $_ => 1 } @$before;
	my @new = grep { !$known{$_} && !(defined $allowed && $_ =~ $allowed) }
	  repository_files(repository($node));
	is_deeply(\@new, [], "$what: no object is left in the repository");
	nothing_left_running($node, $what);
}

# No job, no worker, no slot of ours; backup_mode_is_over() looks deeper.
sub nothing_left_running
{
	my ($node, $what) = @_;
	$what = defined $what ? "$what: " : '';
	# The worker reports its end a moment before its process is gone.
	ok($node->poll_query_until('postgres',
			q{SELECT count(*) = 0 FROM pg_stat_activity
			  WHERE backend_type LIKE 'backup_ext%' AND backend_type NOT LIKE '%launcher%'}),
		"${what}no worker is left");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_progress()'), '0',
		"${what}no job is left");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), '0',
		"${what}no slot is left");
	ok(!-e $node->data_dir . '/backup_label', "${what}no backup_label is left");
}

# Backup mode shows nowhere in SQL. But while it lasts, every page is written whole into the WAL after a
# checkpoint, even with full_page_writes off.
sub backup_mode_is_over
{
	my ($node, $what) = @_;
	$node->safe_psql('postgres', q{CREATE TABLE IF NOT EXISTS full_page_probe (i int);
		INSERT INTO full_page_probe VALUES (1);
		ALTER SYSTEM SET full_page_writes = off;});
	$node->reload;
	my $plan;
	# The checkpointer needs a moment to read the setting.
	foreach my $attempt (1 .. 50)
	{
		$plan = $node->safe_psql('postgres',
			q{CHECKPOINT; EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF)
			  INSERT INTO full_page_probe VALUES (2);});
		last unless $plan =~ /fpi=/;
		usleep(100_000);
	}
	unlike($plan, qr/fpi=/, (defined $what ? "$what: " : '') . 'backup mode is over');
	$node->safe_psql('postgres', q{ALTER SYSTEM RESET full_page_writes});
	$node->reload;
	return;
}

# Waits for a query to give true; a test by itself.
sub wait_for
{
	my ($node, $query, $what, $database) = @_;
	return ok($node->poll_query_until($database // 'postgres', $query), $what);
}

# SQL that must fail: with this SQLSTATE (5 characters), message and, when given, hint.
sub fails_with
{
	my ($node, $sql, $sqlstate, $message, $hint, $what) = @_;
	my ($output, $error) = ('', '');
	my $status = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$output,
		stderr => \$error);
	$what //= $sql;
	isnt($status, 0, "$what: fails");
	like($error, qr/ERROR:\s+\Q$sqlstate\E: .*$message/, "$what: message");
	like($error, qr/HINT:\s+.*$hint/, "$what: hint") if defined $hint;
	return $error;
}

1;
