# A small cluster with something of everything and two backups of it, and what is asked of a target after a
# restore into it was killed or failed: it is a stage that is whole, or one that is plainly unfinished and that the
# same call finishes.
package BackupExtStopped;

use strict;
use warnings;

use Cwd;
use Digest::MD5;
use Exporter qw(import);
use File::Find qw(find);
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtCalls;
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository take_backup start_stage stop_stage dump repository_files);

our @EXPORT = qw(make_origin differences cannot_be_started restore_command whole_trees park_earlier slurp_names tree_of is_tree state_of_target is_finished_by_the_same_call
  starts_as stopped_anywhere nothing_else_was_touched remove_target);

# A tablespace, media, a file of the configuration outside, a full backup and an incremental one; the server is
# stopped. Returns a hash: node, data, repository, target (where to restore; its neighbours are named after it), first
# and second (ids of the backups), dumps (id => text), before, for nothing_else_was_touched(), and mapped,
# where that is set later: where the tablespace shall lie (TARGET.mapped).
sub make_origin
{
	my ($name) = @_;
	my $base = Cwd::realpath(PostgreSQL::Test::Utils::tempdir());
	my $outside = "$base/outside";
	my $work = place_to_work();
	mkdir($_) or die "could not make $_: $!"
	  foreach $outside, map { "$outside/$_" } qw(etc space media media/below);
	my $node = new_node($name, no_start => 1, conf => {
			autovacuum => 'off',
			hba_file => "$outside/etc/pg_hba.conf",
			'backup_ext.media_directories' => "$outside/media" });
	rename($node->data_dir . '/pg_hba.conf', "$outside/etc/pg_hba.conf") or die "could not move pg_hba.conf: $!";
	append_to_file("$outside/media/$_.txt", "picture $_\n" x 1000) foreach 1 .. 3;
	link("$outside/media/1.txt", "$outside/media/below/again.txt") or die;
	symlink('../1.txt', "$outside/media/below/link") or die;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION backup_ext');
	# Every file costs time in each of hundreds of runs.
	foreach my $database (qw(template0 template1))
	{
		$node->safe_psql('postgres', "ALTER DATABASE $database IS_TEMPLATE false");
		$node->safe_psql('postgres', "DROP DATABASE $database");
	}
	$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$outside/space'");
	$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 5000) i');
	$node->safe_psql('postgres', 'CREATE TABLE s TABLESPACE space AS SELECT i FROM generate_series(1, 5000) i');
	my %dumps;
	my $first = take_backup($node, include_media => 'true');
	$dumps{$first} = dump($node);
	$node->safe_psql('postgres', q{UPDATE t SET x = 'changed' WHERE i % 1000 = 0});
	$node->safe_psql('postgres', 'DROP TABLE s; CREATE TABLE later TABLESPACE space AS SELECT generate_series(1, 500) AS i');
	append_to_file("$outside/media/3.txt", 'and more');
	my $second = take_backup($node, include_media => 'true');
	$dumps{$second} = dump($node);
	is($node->safe_psql('postgres', "SELECT kind FROM backup_list() WHERE backup_id = '$second'"),
		'incremental', 'the second backup is incremental');
	$node->stop;
	my $origin = {
		node => $node,
		data => $node->data_dir,
		repository => Cwd::realpath(repository($node)),
		outside => $outside,
		work => $work,
		target => "$work/target",
		first => $first,
		second => $second,
		dumps => \%dumps
	};
	$origin->{before} = surroundings($origin);
	return $origin;
}

sub slurp_names
{
	my ($directory) = @_;
	return sort grep { !/^\.\.?$/ } slurp_dir($directory);
}

# In memory where there is some: on a disk, syncfs(2) waits for all that others write. Memory is given back after
# failures too.
my @in_memory;
sub place_to_work
{
	my $memory = '/dev/shm';
	my $free = -w $memory ? `df --output=avail -k $memory | tail -n 1` : 0;
	return Cwd::realpath(PostgreSQL::Test::Utils::tempdir()) if $free < 500_000;
	push @in_memory, Cwd::realpath(File::Temp::tempdir('backup_ext_XXXXXX', DIR => $memory));
	return $in_memory[-1];
}

END
{
	local $?;
	system('rm', '-rf', @in_memory) if @in_memory;
}

sub surroundings
{
	my ($origin) = @_;
	return {
		cluster => tree_state($origin->{data}, $origin->{outside}),
		repository => [ map { "$_ " . digest("$origin->{repository}/$_") } repository_files($origin->{repository}) ],
		work => [ slurp_names($origin->{work}) ]
	};
}

# After all that was done to targets: the cluster, what lies outside of it, and the repository are as they were.
sub nothing_else_was_touched
{
	my ($origin) = @_;
	remove_target($origin);
	my $now = surroundings($origin);
	is_deeply($now->{$_}, $origin->{before}{$_}, "untouched: $_") foreach sort keys %$now;
	foreach my $backup (qw(first second))
	{
		my ($code, $output, $error) = program($origin->{repository}, 'verify', $origin->{$backup});
		is($code, 0, "verify: the $backup backup is sound") or diag("$output$error");
	}
	return;
}

# One thread for the files: the same calls in the same order each time.
sub restore_command
{
	my ($origin, $backup_id) = @_;
	return ('backup_ext', '--repository', $origin->{repository}, 'restore', $backup_id, $origin->{target},
		'--jobs', 1, '--bindir', $origin->{node}->config_data('--bindir'),
		defined $origin->{mapped} ? ('--tablespace-mapping', "$origin->{outside}/space=$origin->{mapped}") : ());
}

# The target and all that is made beside it, where it is there.
sub neighbours
{
	my ($target) = @_;
	return grep { -e || -l } map { "$target$_" } '', qw(.tablespaces .media .mapped);
}

sub remove_target
{
	my ($origin) = @_;
	system_or_bail('rm', '-rf', neighbours($origin->{target}));
	return;
}

# path => content of a target and its neighbours, but for what is of one stage alone: its id, and times.
sub tree_of
{
	my ($target) = @_;
	my %tree;
	my @tops = neighbours($target);
	return {} unless @tops;
	find({ no_chdir => 1, wanted => sub {
			return if m{/backup_ext_stage/stage\.json(\.new)?$} || m{^\Q$target\E/backup_manifest$};
			lstat($_) or return;
			$tree{$_} = -l _ ? readlink($_) : -f _ ? digest($_) : 'directory';
		} }, @tops);
	return \%tree;
}

sub digest
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or die "could not open $path: $!";
	return Digest::MD5->new->addfile($file)->hexdigest unless $path =~ /\.auto\.conf$/;
	local $/;
	return <$file> =~ s/\b\d{8}-\d{6}-[0-9a-f]{8}\b/id/gr;
}

# Restores both backups into targets that did not exist. Returns their trees by backup id.
sub whole_trees
{
	my ($origin) = @_;
	my %trees;
	foreach my $backup_id (@$origin{qw(first second)})
	{
		remove_target($origin);
		succeeds('a restore that nobody stops', restore_command($origin, $backup_id));
		$trees{$backup_id} = tree_of($origin->{target});
		cmp_ok(scalar(keys %{ $trees{$backup_id} }), '>', 300, 'it is a cluster');
	}
	remove_target($origin);
	return \%trees;
}

# Restores the first backup. Returns a sub that puts this stage back whenever it is called.
sub park_earlier
{
	my ($origin) = @_;
	my $parked = place_to_work();
	succeeds('the earlier stage', restore_command($origin, $origin->{first}));
	system_or_bail('cp', '-a', neighbours($origin->{target}), $parked);
	return sub {
		remove_target($origin);
		system_or_bail('cp', '-a', map({ "$parked/$_" } slurp_names($parked)), $origin->{work});
	};
}

sub differences
{
	my ($found, $expected) = @_;
	my %all = (%$found, %$expected);
	return grep { ($found->{$_} // 'missing') ne ($expected->{$_} // 'missing') } sort keys %all;
}

sub is_tree
{
	my ($target, $expected, $what) = @_;
	my @different = differences(tree_of($target), $expected);
	return is(join(' ', @different[ 0 .. ($#different < 4 ? $#different : 4) ]), '', $what);
}

# "unfinished": no server can start on it. Else the id of the backup that it holds whole, or "torn".
sub state_of_target
{
	my ($origin, $trees) = @_;
	return 'unfinished' unless -s "$origin->{target}/global/pg_control";
	my $tree = tree_of($origin->{target});
	my ($id) = grep { !differences($tree, $trees->{$_}) } sort keys %$trees;
	return $id // 'torn: ' . join(' ', grep { defined }
		  (differences($tree, $trees->{ $origin->{second} }))[ 0 .. 2 ]);
}

# Which backup the target says that it holds, or nothing.
sub marked_as
{
	my ($origin) = @_;
	my $text = eval { slurp_file("$origin->{target}/backup_ext_stage/stage.json") } // return;
	return JSON::PP->new->decode($text)->{backup_id};
}

# Started as it is, it must have what was backed up.
my $starts = 0;
sub starts_as
{
	my ($origin, $backup_id, $what) = @_;
	my $target = $origin->{target};
	$starts++;
	my $copy = start_stage(
		{
			stage_id => "stopped_$starts",
			directory => $target,
			start_command => "pg_ctl -D '$target' -l '$target/backup_ext_stage/server.log' -w start"
		});
	same_dump(dump($copy), $origin->{dumps}{$backup_id}, "$what: started, it is equal by dump");
	stop_stage($copy);
	return;
}

sub cannot_be_started
{
	my ($origin, $what) = @_;
	my ($output, $error) = run_command([ 'pg_ctl', '-D', $origin->{target}, '-w', '-s', '-l', "$origin->{target}.log", 'start' ]);
	isnt($?, 0, "$what: no server starts on it");
	unlink("$origin->{target}.log");
	return;
}

sub is_finished_by_the_same_call
{
	my ($origin, $backup_id, $trees, $what) = @_;
	my $output = succeeds("$what: the same call finishes it", restore_command($origin, $backup_id));
	is_tree($origin->{target}, $trees->{$backup_id}, "$what: then every file is as of a fresh restore");
	is(marked_as($origin), $backup_id, "$what: and its marker says so");
	succeeds("$what: pg_verifybackup accepts it", 'pg_verifybackup', '-q', $origin->{target});
	return;
}

# What a restore of $backup_id that was stopped may have left: one that is whole, or is unfinished, and says so; the
# same call finishes it.
sub is_one_of_the_good_states
{
	my ($origin, $backup_id, $trees, $what, $trial) = @_;
	my $state = state_of_target($origin, $trees);
	like($state, qr/^(unfinished|\Q$backup_id\E|\Q$origin->{first}\E)$/, "$what: whole or unfinished");
	my ($code) = program(undef, 'activate', $origin->{target}, '--pgdata', "$origin->{work}/data", '--dry-run');
	is($code == 0 ? 'yes' : 'no', $state eq (marked_as($origin) // '') ? 'yes' : 'no',
		"$what: it can be activated if it is what it says");
	my $is_control_there = -e "$origin->{target}/global/pg_control";
	cannot_be_started($origin, $what)
	  if $state eq 'unfinished' && -e "$origin->{target}/PG_VERSION" && ($is_control_there || $trial % 20 == 0);
	return $state;
}

# Kills the restore of $backup_id before each of its calls (sampled, where there are many) that change something.
# $prepare makes the target what it is before. Returns how often each state was met.
sub stopped_anywhere
{
	my ($origin, $backup_id, $trees, $prepare, %samples) = @_;
	my @command = restore_command($origin, $backup_id);
	my (%seen, %of_main, $trial);
	foreach my $threads (qw(main all))
	{
		$prepare->();
		my $numbers = numbers_of(calls_of($threads, @command));
		cmp_ok(scalar(keys %$numbers), '>', 8, "$threads: calls were seen");
		foreach my $call (sort keys %$numbers)
		{
			# Those that no other thread makes were all seen.
			my $all = join(' ', @{ $numbers->{$call} });
			next if $threads eq 'all' && $all eq ($of_main{$call} // '');
			$of_main{$call} = $all;
			foreach my $number (sample_of($numbers->{$call}, @{ $samples{$threads} }))
			{
				my $what = "killed before $call $number of $threads";
				$prepare->();
				my $run = stopped($threads, "$call:signal=KILL:when=$number", @command);
				# Threads differ a little from run to run.
				ok($run->{killed} || $threads eq 'all', $what) or diag($run->{error});
				my $state = is_one_of_the_good_states($origin, $backup_id, $trees, $what, ++$trial);
				$state = 'whole' if $state eq $backup_id;
				$state = 'earlier' if $state eq $origin->{first};
				# Starting takes its time.
				starts_as($origin, $state eq 'whole' ? $backup_id : $origin->{first}, "$what, $state")
				  if ++$seen{$state} <= 2 && $state =~ /^(whole|earlier)$/;
				is_finished_by_the_same_call($origin, $backup_id, $trees, $what);
				starts_as($origin, $backup_id, "$what, finished") if $trial % 40 == 0;
			}
		}
	}
	return \%seen;
}

1;
