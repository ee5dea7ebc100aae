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
		least_version => 17
	});

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
	my $child = take_backup($node, kind => 'incremental');
	is(record_of($node, $child)->{parent_id}, $parent, "$name: it refers to the one before");
	my $expected = cluster_dump($node);
	my %same = map { $_->{name} => $node->safe_psql('postgres', $_->{same}) }
	  grep { defined $_->{same} } @scenarios;

	prove_stage(stage($node, $child), $expected, $name, look => sub {
			my ($copy) = @_;
			is(staged_psql($copy, 'postgres', $_->{same}), $same{ $_->{name} }, "$name: $_->{name}")
			  foreach grep { defined $_->{same} } @scenarios;
		});
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
