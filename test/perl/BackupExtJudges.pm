# What PostgreSQL's own tools say of a stage, and a backup that is held in its copying for as long as
# a test needs.
#
#   my $stage = stage($node, $backup_id);
#   verify_stage($stage);                     # pg_verifybackup, before it is started
#   my $copy = start_stage($stage);
#   amcheck_copy($copy);                      # pg_amcheck of every database, every index
#   balances_agree($copy, 'postgres');        # the invariants of pgbench
#   verify_checksums($stage);                 # pg_checksums, after it was stopped
#
#   my $before = live_files($node);           # what a restore must leave alone
#   my $stage = stage($node);
#   leaves_live_files_alone($node, $before, $stage);
#
#   my $backup = start_held_backup($node);    # it copies, and cannot end ...
#   ...
#   my $backup_id = release_backup($backup);  # ... until here
package BackupExtJudges;

use strict;
use warnings;

use Digest::MD5;
use Exporter qw(import);
use File::Find qw(find);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtTest qw(staged_psql stage start_stage stop_stage take_backup wait_for dump);

our @EXPORT = qw(succeeds verify_stage amcheck_copy databases_of same_dump balances_agree verify_checksums timeline_of prove_backup
  start_psql finish_psql start_held_backup release_backup finish_held_backup start_storm wait_for_storm
  finish_storm tree_state files_below live_files leaves_live_files_alone);

# Runs a program that must succeed; shows what it said when it does not.
sub succeeds
{
	my ($what, @command) = @_;
	my ($output, $status) = ('', 0);
	IPC::Run::run(\@command, '<', \undef, '>&', \$output) or $status = $? || 1;
	is($status, 0, $what) or diag($output);
	return $output;
}

sub verify_stage
{
	my ($stage) = @_;
	succeeds('pg_verifybackup accepts the stage, WAL included', 'pg_verifybackup',
		$stage->{directory});
	return;
}

# The copy, or with $what the server itself.
sub amcheck_copy
{
	my ($copy, $what) = @_;
	succeeds('pg_amcheck finds every table and index of ' . ($what // 'the copy') . ' sound',
		'pg_amcheck', '--all', '--heapallindexed', '--install-missing', '-h', $copy->{host}, '-p',
		$copy->{port});
	# The copy is to be compared by dump.
	staged_psql($copy, $_, 'DROP EXTENSION amcheck') foreach databases_of($copy);
	return;
}

# Those that let one in. -2: a DROP DATABASE was under way, as after a crash; it can only be repeated.
sub databases_of
{
	my ($copy) = @_;
	return split(/\n/, staged_psql($copy, 'postgres',
			'SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2'));
}

# Two dumps, or a dump and what has one. Shows the first line that differs, not both dumps.
sub same_dump
{
	my ($got, $expected, $what) = @_;
	my $same = ok($got eq $expected, $what);
	my @got = split(/\n/, $got);
	my @expected = split(/\n/, $expected);
	my $line = 0;
	$line++ while !$same && $line < @got && $line < @expected && $got[$line] eq $expected[$line];
	diag("line $line:\n     got: " . ($got[$line] // 'the end') . "\nexpected: "
		  . ($expected[$line] // 'the end'))
	  unless $same;
	return $same;
}

# The stage must be stopped.
sub verify_checksums
{
	my ($stage) = @_;
	succeeds('pg_checksums finds every page of the stage sound',
		'pg_checksums', '-c', '-D', $stage->{directory});
	return;
}

# Whatever moment the copy shows: each transaction of pgbench is in it whole or not at all.
sub balances_agree
{
	my ($copy, $database) = @_;
	my $sums = staged_psql($copy, $database // 'postgres',
		q{SELECT count(*) > 0, sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts),
			sum(delta) = (SELECT sum(tbalance) FROM pgbench_tellers),
			sum(delta) = (SELECT sum(bbalance) FROM pgbench_branches)
		  FROM pgbench_history});
	is($sums, 't|t|t|t', 'accounts, tellers and branches agree with the history');
	return;
}

# The timeline that a started copy writes.
sub timeline_of
{
	my ($copy) = @_;
	return staged_psql($copy, 'postgres',
		q{SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int});
}

# Restores a backup, has it judged, and calls $look($copy) while the copy runs. Returns the stage.
sub prove_backup
{
	my ($node, $backup_id, $look) = @_;
	my $stage = stage($node, $backup_id);
	verify_stage($stage);
	my $copy = start_stage($stage);
	amcheck_copy($copy);
	$look->($copy) if defined $look;
	stop_stage($copy);
	return $stage;
}

# psql in the background. Settings of its session are name => value.
sub start_psql
{
	my ($node, $sql, $database, %settings) = @_;
	my $session = { output => '', error => '' };
	local $ENV{PGOPTIONS} = join(' ', map { "-c $_=$settings{$_}" } sort keys %settings);
	$session->{process} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-d',
			$database // 'postgres', '-c', $sql
		],
		'<', \undef, '>', \$session->{output}, '2>', \$session->{error});
	return $session;
}

# (exit status, standard output, standard error) at its end.
sub finish_psql
{
	my ($session) = @_;
	$session->{process}->finish;
	chomp($session->{output}, $session->{error});
	return ($session->{process}->full_result(0), $session->{output}, $session->{error});
}

# Starts a backup at a rate at which it would take hours, and returns when it copies. release_backup()
# lets it go. $rate may be higher, for a backup that copies a good part while something goes on.
sub start_held_backup
{
	my ($node, $rate, %arguments) = @_;
	$rate //= '100kB';
	$node->safe_psql('postgres', "ALTER SYSTEM SET backup_ext.max_rate = '$rate'");
	$node->reload;
	wait_for($node, "SELECT current_setting('backup_ext.max_rate') = '$rate'", "max_rate is $rate");
	my $backup = { node => $node, session => start_psql($node, 'SELECT backup_now()') };
	wait_for($node, copies(), 'the backup copies');
	return $backup;
}

sub copies
{
	return q{SELECT count(*) = 1 FROM backup_progress()
		WHERE operation = 'backup' AND phase = 'copying files'};
}

# Lets it go on at full speed, and returns its id when it is done. It must still have been copying.
sub release_backup
{
	my ($backup) = @_;
	my $node = $backup->{node};
	is($node->safe_psql('postgres', copies()), 't', 'the backup was copying all the time');
	my ($status, $backup_id, $error) = finish_held_backup($backup);
	is($status, 0, 'the backup that was held succeeds') or diag($error);
	return $backup_id;
}

# The same without expecting success: as finish_psql().
sub finish_held_backup
{
	my ($backup) = @_;
	my $node = $backup->{node};
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET backup_ext.max_rate');
	$node->reload;
	return finish_psql($backup->{session});
}

# Statements over and over, each session with its own :client_id, counted in table storm_rounds, until
# finish_storm().
sub start_storm
{
	my ($node, $sql, $clients) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/storm.sql';
	append_to_file($file, "$sql\nINSERT INTO storm_rounds VALUES (:client_id);\n");
	$node->safe_psql('postgres',
		'CREATE TABLE IF NOT EXISTS storm_rounds (client int); TRUNCATE storm_rounds');
	my $storm = { node => $node, output => '' };
	$storm->{process} = IPC::Run::start(
		[
			'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', $clients, '-T', 3600, '-f',
			$file, 'postgres'
		],
		'<', \undef, '>&', \$storm->{output});
	return $storm;
}

# Returns after that many more rounds.
sub wait_for_storm
{
	my ($storm, $rounds, $what) = @_;
	my $now = $storm->{node}->safe_psql('postgres', 'SELECT count(*) FROM storm_rounds');
	wait_for($storm->{node}, "SELECT count(*) >= $now + $rounds FROM storm_rounds", $what)
	  or diag($storm->{output});
	return;
}

sub finish_storm
{
	my ($storm) = @_;
	$storm->{process}->signal('TERM');
	eval { $storm->{process}->finish };
	unlike($storm->{output}, qr/ERROR|FATAL|PANIC/, 'the storm met no error');
	return;
}

# Everything below a directory with what tells that it was touched: inode, mode, size, time, content.
sub tree_state
{
	my (@directories) = @_;
	my %state;
	find(
		{
			no_chdir => 1,
			wanted => sub {
				my @status = lstat($_);
				return unless @status;
				my $content = -l _ ? readlink($_) : -f _ ? md5_of($_) : '';
				$state{$_} = join(' ', @status[1, 2, 7, 9], $content);
			}
		},
		@directories);
	return \%state;
}

# A server at work changes its files in place. It replaces these:
my $replaced_by_server = qr{
	  (?:^|/)pg_internal\.init$               # relation caches, written anew when they are out of date
	| ^pg_logical/replorigin_checkpoint$      # at each checkpoint
	| ^pg_replslot/                           # the state of a slot
	| ^backup_ext/                            # what the extension keeps of its own runs
}x;

# What tells of each file that a restore did not put another one in its place (path => "device:inode"), and
# the whole state of what nobody writes: configuration, and the databases that are idle.
sub live_files
{
	my ($node, @idle_databases) = @_;
	my $data = $node->data_dir;
	# Nothing is left to be written back.
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $oids = $node->safe_psql('postgres', 'SELECT oid FROM pg_database WHERE NOT datallowconn OR datname IN ('
		  . join(', ', map { "'$_'" } @idle_databases, 'template1') . ')');
	my @idle = ((map { "$data/base/$_" } split(/\n/, $oids)), grep { -f } map { "$data/$_" }
		  qw(PG_VERSION postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf postmaster.opts));
	return { inodes => inodes_below($data), idle => \@idle, idle_state => tree_state(@idle) };
}

# Call it with the server still at work. A file that the server has removed meanwhile is gone.
sub leaves_live_files_alone
{
	my ($node, $before, $stage) = @_;
	my $after = inodes_below($node->data_dir);
	my @kept = grep { defined $after->{$_} } sort keys %{ $before->{inodes} };
	cmp_ok(scalar @kept, '>', 900, 'the files of the server are there');
	my @replaced = grep { $_ !~ $replaced_by_server && $after->{$_} ne $before->{inodes}{$_} } @kept;
	is_deeply(\@replaced, [], 'none of them was replaced');
	is_deeply(tree_state(@{ $before->{idle} }), $before->{idle_state}, 'what nobody writes is untouched');

	my $of_stage = inodes_below($stage->{directory});
	my %is_live = map { $_ => 1 } values %{ $before->{inodes} }, values %$after;
	is_deeply([ grep { $is_live{ $of_stage->{$_} } } sort keys %$of_stage ], [], 'no file of the stage is a file of the server');
	my $server = { host => $node->host, port => $node->port };
	balances_agree($server);
	amcheck_copy($server, 'the server');
	return;
}

# Path relative to the directory => "device:inode", of all but directories.
sub inodes_below
{
	my ($directory) = @_;
	my %inodes;
	find(
		{
			no_chdir => 1,
			wanted => sub {
				my @status = lstat($_);
				$inodes{ substr($_, length($directory) + 1) } = "$status[0]:$status[1]" if @status && !-d _;
			}
		},
		$directory);
	return \%inodes;
}

sub md5_of
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or return "unreadable: $!";
	return Digest::MD5->new->addfile($handle)->hexdigest;
}

# Sorted paths below a directory, relative to it; directories end with a slash. Links into tablespaces
# are followed.
sub files_below
{
	my ($directory) = @_;
	my @paths;
	find(
		{
			no_chdir => 1,
			follow_fast => 1,
			follow_skip => 2,
			wanted => sub {
				return if $_ eq $directory;
				push @paths, substr($_, length($directory) + 1) . (-d $_ ? '/' : '');
			}
		},
		$directory);
	return sort @paths;
}

1;
