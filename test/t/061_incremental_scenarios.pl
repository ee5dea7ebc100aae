# What PostgreSQL's own tests of incremental backups ask (src/bin/pg_combinebackup/t), and the traps that were
# found on the way here: a backup, something happens, another backup, and that one is the cluster.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use BackupExtCompare;
use BackupExtJudges;
use BackupExtPropertyActions qw($template);
use BackupExtScenarios qw(@scenarios);
use BackupExtTest qw(new_node major_version take_backup stage start_stage stop_stage staged_psql wait_for);

my %tablespaces = (
	allow_in_place_tablespaces => 'on',
	autovacuum => 'off',
	max_prepared_transactions => 10,
	wal_keep_size => '256MB');

#
# The table of scenarios, all between the same two backups, in clusters that know of changes by
# different means.
#
my @clusters = (
	{ name => 'no_checksums', no_checksums => 1, conf => { wal_log_hints => 'off' }, waits => 1 },
	{ name => 'checksums', conf => {}, crash => 1 },
	{
		name => 'summaries',
		no_checksums => 1,
		conf => { wal_log_hints => 'off', summarize_wal => 'on' },
		waits => 1,
		least_version => 17,
		has_summaries => 1
	});
my $no_summaries = major_version() >= 17 ? 'summarize_wal is off' : 'this version of PostgreSQL has none';

foreach my $cluster (grep { major_version() >= ($_->{least_version} // 0) } @clusters)
{
	my $node = new_node($cluster->{name}, no_checksums => $cluster->{no_checksums},
		conf => { %tablespaces, %{ $cluster->{conf} } });
	play_scenarios($node, $cluster);
	$node->stop;
}

sub play_scenarios
{
	my ($node, $cluster) = @_;
	my $name = $cluster->{name};
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_visibility');
	$node->safe_psql('template1', $template);
	$node->safe_psql('postgres', $template);
	my $location = PostgreSQL::Test::Utils::tempdir('tablespace');
	$node->safe_psql('postgres', "CREATE TABLESPACE s1 LOCATION ''");
	$node->safe_psql('postgres', "CREATE TABLESPACE s2 LOCATION '$location'");
	perform($node, $_->{before}) foreach @scenarios;
	# A file is known by its times only when they are old enough: kUntouchedMargin.
	sleep(11) if $cluster->{waits};
	my $parent = take_backup($node);

	perform($node, $_->{between}) foreach @scenarios;
	# What the server knew of changes that were not on disk is in the WAL alone.
	if ($cluster->{crash})
	{
		$node->stop('immediate');
		$node->start;
	}
	my $by = $cluster->{has_summaries} ? 'by WAL summaries' : "without WAL summaries ($no_summaries)";
	my $child = take_child($node, $parent, $by, $name);
	my $expected = cluster_dump($node);
	my %same = map { $_->{name} => $node->safe_psql('postgres', $_->{same}) }
	  grep { defined $_->{same} } @scenarios;

	prove_stage(stage($node, $child), $expected, $name, look => sub {
			my ($copy) = @_;
			is(staged_psql($copy, 'postgres', $_->{same}), $same{ $_->{name} }, "$name: $_->{name}")
			  foreach grep { defined $_->{same} } @scenarios;
		});
	lose_summaries($node, $child) if $cluster->{has_summaries};
	return;
}

# An incremental backup, of which the log says that it knows of changes in this way. Returns its id.
sub take_child
{
	my ($node, $parent, $by, $what) = @_;
	my $log_begin = -s $node->logfile;
	my $child = take_backup($node, kind => 'incremental');
	is(record_of($node, $child)->{parent_id}, $parent, "$what: it refers to the one before");
	like(slurp_file($node->logfile, $log_begin),
		qr/LOG:  backup_ext: backup \Q$child\E: kind incremental(?:, parent \S+)*, parent \Q$parent\E, \Q$by\E$/m,
		"$what: the log says \"$by\"");
	return $child;
}

# A file of pg_wal/summaries that the next backup needs is not there: it reads files in its place.
sub lose_summaries
{
	my ($node, $parent) = @_;
	my $directory = $node->data_dir . '/pg_wal/summaries';
	my $start = $node->safe_psql('postgres',
		"SELECT start_lsn - '0/0' FROM backup_list() WHERE backup_id = '$parent'");
	$node->safe_psql('postgres', q{UPDATE steady SET v = v + 1 WHERE k % 5 = 0; CHECKPOINT});
	wait_for($node, "SELECT count(*) > 0 FROM pg_available_wal_summaries() WHERE end_lsn - '0/0' > $start",
		'changes since the backup are summarized');
	# Named by timeline, start and end; see src/backend/backup/walsummary.c of PostgreSQL.
	my @needed = grep { /^[0-9A-F]{24}([0-9A-F]{16})\.summary$/ && hex($1) > $start } slurp_dir($directory);
	cmp_ok(unlink(map { "$directory/$_" } @needed), '>', 0, 'a summary that the next backup needs is lost');
	$node->safe_psql('postgres', q{UPDATE steady SET v = v + 1 WHERE k % 7 = 0});
	my $child = take_child($node, $parent, 'without WAL summaries (they do not cover all WAL of timeline 1)',
		'a lost summary');
	prove_stage(stage($node, $child), cluster_dump($node), 'a lost summary');
	return;
}

# SQL, a list of statements, or code.
sub perform
{
	my ($node, $what) = @_;
	return $what->($node) if ref($what) eq 'CODE';
	$node->safe_psql('postgres', $_) foreach ref($what) eq 'ARRAY' ? @$what : $what;
	return;
}
done_testing();
