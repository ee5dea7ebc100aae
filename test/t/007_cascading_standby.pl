# A backup of a standby whose upstream is promoted meanwhile: it follows onto the new timeline, and the
# backup holds WAL of both.
use strict;
use warnings;
use BackupExtJudges;
use BackupExtTest qw(new_node repository take_backup stage start_stage stop_stage staged_psql dump wait_for
  nothing_left_running);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', conf => { autovacuum => 'off', wal_keep_size => '128MB' });
$primary->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 20000) i');
$primary->backup('seed');
my $middle = PostgreSQL::Test::Cluster->new('middle');
$middle->init_from_backup($primary, 'seed', has_streaming => 1);
$middle->start;
$middle->backup('seed');
# Two, at once. A backup ends at the minimum recovery point: that of the first still lies on the old
# timeline, for it makes no restartpoint after the promotion; that of the second on the new one.
my %leaves = map { $_ => PostgreSQL::Test::Cluster->new($_) } qw(old_end new_end);
foreach my $leaf (map { $leaves{$_} } sort keys %leaves)
{
	my $repository = repository($leaf);
	$leaf->init_from_backup($middle, 'seed', has_streaming => 1);
	$leaf->append_conf('postgresql.conf',
		"backup_ext.repository = '$repository'\nbackup_ext.max_rate = '100kB'");
	$leaf->start;
}

sub all_catch_up
{
	my $lsn = $primary->lsn('insert');
	$primary->wait_for_catchup($middle, 'replay', $lsn);
	$middle->wait_for_catchup($_, 'replay', $lsn) foreach values %leaves;
	return;
}
all_catch_up();

# Nobody waits for them: the snapshot of a query that waits would hold up replay.
my %backup_ids =
  map { $_ => $leaves{$_}->safe_psql('postgres', 'SELECT backup_now(wait => false)') } sort keys %leaves;
foreach my $name (sort keys %leaves)
{
	wait_for($leaves{$name}, q{SELECT count(*) = 1 FROM backup_progress() WHERE phase = 'copying files'},
		"$name: a backup copies the cascading standby");
}

# Written on the old timeline while they copy, and on the new one, in the same segment.
$primary->safe_psql('postgres', 'INSERT INTO t SELECT i, md5(i::text) FROM generate_series(20001, 21000) i');
all_catch_up();
my $old_segment = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$middle->promote;
$middle->safe_psql('postgres', 'INSERT INTO t SELECT i, md5(i::text) FROM generate_series(21001, 22000) i');
$middle->safe_psql('postgres', 'SELECT pg_switch_wal(); CHECKPOINT');
$middle->safe_psql('postgres', 'CREATE TABLE last_of_all ()');
wait_for($leaves{$_}, q{SELECT count(*) = 1 FROM pg_class WHERE relname = 'last_of_all'},
	"$_: it follows onto the new timeline") foreach sort keys %leaves;
$leaves{new_end}->safe_psql('postgres', 'CHECKPOINT');

foreach my $name (sort keys %leaves)
{
	my $leaf = $leaves{$name};
	$leaf->append_conf('postgresql.conf', 'backup_ext.max_rate = 0');
	$leaf->reload;
	wait_for($leaf, 'SELECT count(*) = 0 FROM backup_progress()', "$name: the backup ends");
	nothing_left_running($leaf, $name);
	my ($state, $timeline) = split(/\|/, $leaf->safe_psql('postgres',
			"SELECT state, timeline FROM backup_list() WHERE backup_id = '$backup_ids{$name}'"));
	is($state, 'complete', "$name: it is complete");
	is($timeline, 2, "$name: and ends on the new timeline") if $name eq 'new_end';
	note("$name: the backup ends on timeline $timeline");

	my $stage = stage($leaf, $backup_ids{$name});
	verify_stage($stage);
	ok(-e "$stage->{directory}/pg_wal/$old_segment",
		"$name: the segment in which the old timeline ends is there under its old name");
	my $copy = start_stage($stage);
	is(timeline_of($copy), 3, "$name: a copy is on a timeline of its own");
	amcheck_copy($copy);
	same_dump(dump($copy), dump($middle), "$name: and equal to the new primary by dump")
	  if $timeline == 2;
	cmp_ok(staged_psql($copy, 'postgres', 'SELECT count(*) FROM t'), '>=', 20000, "$name: it has the rows");
	stop_stage($copy);
	verify_checksums($stage);

	# The next one begins on the new timeline, or holds the end of the old one again.
	$stage = stage($leaf, take_backup($leaf));
	verify_stage($stage);
	$copy = start_stage($stage);
	amcheck_copy($copy);
	stop_stage($copy);
}

done_testing();
