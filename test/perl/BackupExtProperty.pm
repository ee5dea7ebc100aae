# Whatever happens to a cluster: a backup of it is the cluster at that moment. Random steps from a seed, backups
# between them, each restored (or some of them) and judged against what the server itself says.
#
#   BackupExtProperty::run(seed => 7, rounds => 12);      # some are judged, among them the last
#   BackupExtProperty::run(seed => 7, seconds => 3600);   # all are judged
#
# The same seed gives the same steps; what runs in the background is as random as the machine.
package BackupExtProperty;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use BackupExtCompare;
use BackupExtJudges qw(start_psql finish_psql start_storm wait_for_storm finish_storm);
use BackupExtPropertyActions qw($template statement_actions);
use BackupExtPropertyServer qw(server_actions);
use BackupExtRandom;
use BackupExtTest qw(new_node major_version nothing_left_running stage);

my @database_names = map { "d$_" } (0 .. 2);
my @table_names = map { "t$_" } (0 .. 5);

sub run
{
	my (%options) = @_;
	note("seed $options{seed}");
	my $world = begin(%options);
	my $end = defined $options{seconds} ? time() + $options{seconds} : undef;
	for (my $round = 1; defined $end ? time() < $end : $round <= $options{rounds}; $round++)
	{
		note("round $round");
		$world->{judge_now} = defined $end || $round == $options{rounds} || $world->{random}->chance(30);
		# What a short run must not leave to chance.
		my $at_third = defined $end ? 0 : int(3 * $round / $options{rounds}) - int(3 * ($round - 1) / $options{rounds});
		my $third = $at_third ? int(3 * $round / $options{rounds}) : 0;
		step($world) foreach (1 .. $world->{random}->between(2, 7));
		if ($third == 1 || ($third == 0 && $world->{random}->chance(12)))
		{
			back_up_under_load($world, $third == 1 || defined $end);
		}
		else
		{
			back_up($world);
			back_up($world) if $world->{random}->chance(20);
		}
		go_on_from_earlier($world) if $third == 2 || (defined $end && $world->{random}->chance(8));
		last unless Test::More->builder->is_passing || !defined $end;
	}
	judge_later($world);
	nothing_left_running($world->{node}, 'at the end');
	note('steps: ' . join(', ', map { "$_ $world->{done}{$_}" } sort keys %{ $world->{done} }));
	cmp_ok($world->{done}{'incremental backup'} // 0, '>', 0, 'some backups refer to earlier ones');
	$world->{node}->stop;
	ok(Test::More->builder->is_passing, "everything holds for seed $options{seed}");
	return;
}

sub begin
{
	my (%options) = @_;
	my $random = BackupExtRandom->new($options{seed});
	my $no_checksums = $random->chance(50);
	my %conf = (
		autovacuum => $random->one_of('on', 'off'),
		allow_in_place_tablespaces => 'on',
		fsync => 'off',
		lock_timeout => '60s',
		max_prepared_transactions => 10,
		max_wal_size => '64MB',
		wal_keep_size => '512MB',
		wal_log_hints => $random->one_of('on', 'off'),
		'backup_ext.workers' => $random->between(1, 3));
	$conf{summarize_wal} = 'on' if $random->chance(50) && major_version() >= 17;
	my $node = new_node('main', conf => \%conf, no_checksums => $no_checksums);
	$node->safe_psql('template1', $template);
	my $location = PostgreSQL::Test::Utils::tempdir('tablespace');
	$node->safe_psql('postgres', "CREATE TABLESPACE s$_ LOCATION ''") foreach (0, 1);
	$node->safe_psql('postgres', "CREATE TABLESPACE s2 LOCATION '$location'");
	$node->safe_psql('postgres', $template . <<'SQL');
CREATE TABLE prepared_here (i int);
CREATE TABLE busy AS SELECT * FROM rows_of(0, 2000, 1);
ALTER TABLE busy ADD PRIMARY KEY (k);
CREATE TABLE busy_history (k int, changed int);
SQL
	my $world = {
		node => $node,
		random => $random,
		seed => $options{seed},
		backups => [],
		later => [],
		done => {},
		replaced => 0
	};
	step($world, only => qr/^create (table|database)$/) foreach (1 .. 5);
	return $world;
}

# One thing happens. Options: only (a pattern of names), statements_only.
sub step
{
	my ($world, %options) = @_;
	my @actions = (statement_actions(), $options{statements_only} ? () : server_actions($world));
	@actions = grep { $_->{name} =~ $options{only} } @actions if defined $options{only};
	@actions = grep { $_->{name} !~ $options{except} } @actions if defined $options{except};
	# Not every action finds what it needs.
	foreach my $attempt (1 .. 20)
	{
		my $action = $world->{random}->weighted(@actions);
		next unless defined $action->{call} ? $action->{call}->($world) : run_statements($world, $action, %options);
		$world->{done}{ $action->{name} }++;
		return;
	}
	die "no action can be done";
}

# False when there is no place for it.
sub run_statements
{
	my ($world, $action, %options) = @_;
	my ($node, $random) = @$world{qw(node random)};
	my ($place, %name) = place_for($world, $action->{where});
	return 0 unless defined $place;
	my @strategies = $options{statements_only} ? ('wal_log') : ('wal_log', 'file_copy');
	%name = (
		%name,
		n => $random->size(6000),
		salt => $random->between(1, 10000),
		p => $random->between(1, 9),
		s => 's' . $random->below(3),
		strategy => 'STRATEGY ' . $random->one_of(@strategies));
	my @statements = @{ $action->{statements} };
	foreach my $statement (@statements)
	{
		$statement =~ s/(?<!:):([a-z]+)(?=\W|_|$)/exists $name{$1} ? $name{$1} : ":$1"/ge;
	}
	note("in $place: " . join('; ', @statements));
	foreach my $statement (@statements)
	{
		my ($output, $error) = ('', '');
		$node->psql($place, $statement, stdout => \$output, stderr => \$error, on_error_stop => 1);
		next if $error !~ /ERROR|FATAL|PANIC|server closed/;
		fail("$action->{name}: $statement") && diag($error)
		  unless $error =~ $BackupExtPropertyActions::expected_error;
		last;
	}
	return 1;
}

# (database to connect to, names), or nothing.
sub place_for
{
	my ($world, $where) = @_;
	my ($node, $random) = @$world{qw(node random)};
	return ('postgres') if $where eq 'servers';
	my %oid = map { split(/\|/) } split(/\n/, $node->safe_psql('postgres',
			q{SELECT datname, oid FROM pg_database WHERE datname ~ '^d\d$'}));
	my @old = sort keys %oid;
	my $free = $random->one_of(grep { !exists $oid{$_} } @database_names);
	if ($where =~ /database/)
	{
		return ($random->one_of(@old, 'postgres')) if $where eq 'database';
		return defined $free ? ('postgres', e => $free) : () if $where eq 'free database';
		my $old = $random->one_of(@old) // return ();
		return ('postgres', d => $old, oid => $oid{$old}) if $where eq 'old database';
		return defined $free ? ('postgres', d => $old, e => $free, oid => $oid{$old}) : ();
	}
	my $database = $random->one_of(@old, 'postgres');
	my %table = map { $_ => 1 } split(/\n/, $node->safe_psql($database,
			q{SELECT relname FROM pg_class WHERE relname ~ '^t\d$' AND relkind = 'r'}));
	return ($database, t => $random->one_of(sort keys %table)) if $where eq 'table' && %table;
	my $new = $random->one_of(grep { !$table{$_} } @table_names);
	return ($database, new => $new) if $where eq 'free name' && defined $new;
	return ();
}

# Nothing else happens meanwhile: right after it, the server is what the backup has.
sub back_up
{
	my ($world) = @_;
	my $node = $world->{node};
	my $backup_id = $node->safe_psql('postgres', 'SELECT backup_now()');
	my $now = $world->{judge_now};
	my $expected = $now || $world->{random}->chance(25) ? cluster_dump($node) : undef;
	remember($world, $backup_id, 'a quiet backup');
	if ($now)
	{
		judge($world, $backup_id, $expected);
	}
	elsif (defined $expected)
	{
		push @{ $world->{later} }, { backup_id => $backup_id, expected => $expected };
	}
	return;
}

# $compare: against a copy that was recovered to the same place.
sub back_up_under_load
{
	my ($world, $compare) = @_;
	my $node = $world->{node};
	my $storm = start_storm($node, <<'SQL', 2);
\set k random(1, 2000)
BEGIN;
UPDATE busy SET v = v + 1 WHERE k = :k;
INSERT INTO busy_history VALUES (:k, 1);
END;
\sleep 1 ms
SQL
	wait_for_storm($storm, 20, 'something goes on');
	my $base = $compare ? base_copy($node) : undef;
	$node->safe_psql('postgres', q{ALTER SYSTEM SET backup_ext.max_rate = '15MB'});
	$node->reload;
	my $session = start_psql($node, 'SELECT backup_now()');
	# Copying files of a database under way is replayed with what they became: PostgreSQL's own limit,
	# see "Caveats" of continuous archiving in its manual.
	step($world, statements_only => 1, except => qr/to (a|the default) tablespace$/)
	  foreach (1 .. $world->{random}->between(3, 8));
	my ($status, $backup_id, $error) = finish_psql($session);
	is($status, 0, 'a backup under load') or diag($error);
	finish_storm($storm);
	$node->safe_psql('postgres', q{ALTER SYSTEM RESET backup_ext.max_rate});
	$node->reload;
	remember($world, $backup_id, 'a backup under load');
	return unless $compare || $world->{judge_now};
	my $stop_lsn = $node->safe_psql('postgres',
		"SELECT stop_lsn FROM backup_list() WHERE backup_id = '$backup_id'");
	judge($world, $backup_id, $compare ? dump_at($base, $stop_lsn) : undef);
	system_or_bail('rm', '-rf', $base->{directory}) if $compare;
	return;
}

sub remember
{
	my ($world, $backup_id, $what) = @_;
	my $record = record_of($world->{node}, $backup_id);
	is($record->{state}, 'complete', "$what is complete");
	note("$what: $backup_id, $record->{kind} " . ($record->{parent_id} // '') . ($record->{parent_reason} // '')
		  . ", $record->{stored_bytes} bytes for $record->{database_bytes}");
	push @{ $world->{backups} }, $backup_id;
	$world->{done}{"$record->{kind} backup"}++;
	return;
}

# Restores it in one of the two ways. Returns the stage, stopped.
sub judge
{
	my ($world, $backup_id, $expected, %options) = @_;
	my $node = $world->{node};
	my $by_program = $options{by_program} // $world->{random}->chance(50);
	my $stage = $by_program ? restore_by_program($node, $backup_id) : stage($node, $backup_id);
	prove_stage($stage, $expected, "seed $world->{seed}, backup $backup_id", %options);
	$world->{done}{'judged backup'}++;
	return $stage if $options{keep};
	system_or_bail('rm', '-rf', $stage->{directory}, "$stage->{directory}.tablespaces") if $by_program;
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')") unless $by_program;
	return;
}

# Those of before, when others have been taken after them.
sub judge_later
{
	my ($world) = @_;
	my @later = @{ $world->{later} };
	@later = ($world->{random}->one_of(@later)) if @later > 1 && !$world->{judge_now};
	judge($world, $_->{backup_id}, $_->{expected}) foreach @later;
	return;
}

# An earlier backup becomes the server. What was taken after it is not in its past.
sub go_on_from_earlier
{
	my ($world) = @_;
	my $node = $world->{node};
	my $backup_id = $world->{random}->one_of(@{ $world->{backups} });
	note("goes on from $backup_id");
	my $stage = restore_by_program($node, $backup_id);
	my $copy = BackupExtTest::start_stage($stage);
	BackupExtTest::stop_stage($copy);
	my $old = become_server($node, $stage);
	system_or_bail('rm', '-rf', $old);
	$world->{done}{'go on from earlier'}++;
	$world->{judge_now} = 1;
	step($world) foreach (1 .. 3);
	back_up($world);
	return;
}

1;
