# Tablespaces: each comes back in <stage>.tablespaces, wherever it lay, and nothing that is done to a
# copy ever reaches the files of its origin.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtTest qw(new_node repository repository_files is_clean_after fails_with take_backup start_stage stop_stage stage staged_psql dump wait_for);

my $node = new_node('main', conf => { autovacuum => 'off', allow_in_place_tablespaces => 'on' });
my $data = $node->data_dir;
my $base = PostgreSQL::Test::Utils::tempdir();
my %locations = (
	plain => "$base/plain",
	spaces => "$base/with  two spaces ",
	odd => "$base/back\\slash \"quoted\" \xC3\xA9",
	newline => "$base/line\nbreak\\",
	inside => "$data/inside",
	in_place => '');
my $major = $node->safe_psql('postgres', q{SELECT current_setting('server_version_num')::int / 10000});
foreach my $name (sort keys %locations)
{
	my $location = $locations{$name};
	# Another version's files in the same location are none of ours.
	if ($location ne '')
	{
		mkdir($location) or die "could not make \"$location\": $!";
		mkdir("$location/PG_9.9_209901010") or die;
		append_to_file("$location/PG_9.9_209901010/1", 'of another version');
		append_to_file("$location/note", 'of somebody else');
	}
	# CREATE TABLESPACE cannot be in a transaction: each by itself.
	$node->safe_psql('postgres', "CREATE TABLESPACE $name LOCATION E'" . ($location =~ s/\\/\\\\/gr) . "'");
	$node->safe_psql('postgres', "CREATE TABLE in_$name TABLESPACE $name
		AS SELECT i, md5(i::text) AS t FROM generate_series(1, 2000) i;
		CREATE INDEX in_${name}_i ON in_$name (i) TABLESPACE $name;
		CREATE UNLOGGED TABLE unlogged_$name (i int) TABLESPACE $name");
}
$node->safe_psql('postgres', 'CREATE DATABASE other TABLESPACE plain');
$node->safe_psql('other', 'CREATE TABLE here AS SELECT generate_series(1, 100) AS i;
	CREATE TABLE there TABLESPACE spaces AS SELECT generate_series(1, 100) AS i');
my %oid = map { my ($name, $oid) = split(/\|/, $_); $name => $oid }
  split(/\n/, $node->safe_psql('postgres', 'SELECT spcname, oid FROM pg_tablespace'));
my $dump = dump($node);
my $dump_of_other = dump($node, 'other');
my $backup_id = take_backup($node);
my $stage = stage($node, $backup_id);
my $second = stage($node, $backup_id);
my $place = $stage->{directory};

verify_stage($stage);
is_deeply(
	[ sort grep { !/^(\.|backup_ext_stage$)/ } slurp_dir("$place.tablespaces") ],
	[ sort map { $oid{$_} } grep { $_ ne 'in_place' } keys %locations ],
	'every tablespace but the one in place has a directory beside the stage');
foreach my $name (sort grep { $_ ne 'in_place' } keys %locations)
{
	is(readlink("$place/pg_tblspc/$oid{$name}"), "$place.tablespaces/$oid{$name}",
		"$name: the stage's link leads to its own directory");
	my @found = grep { !/^\./ } slurp_dir("$place.tablespaces/$oid{$name}");
	is(scalar(@found), 1, "$name: one version's files came along");
	like($found[0], qr/^PG_${major}_\d{9}$/, "$name: ours");
}
ok(-d "$place/pg_tblspc/$oid{in_place}" && !-l "$place/pg_tblspc/$oid{in_place}",
	'the tablespace in place came back in place');
is_deeply([ grep { !/^\./ } slurp_dir("$place/inside") ], [],
	'of the tablespace inside the data directory no second copy is kept');

# Everything that can be done to a copy is done while its origin stands still: so every change is seen.
$node->stop;
my @origin = ($base, $data);
my $before = tree_state(@origin);

my $copy = start_stage($stage);
my $other_copy = start_stage($second);
amcheck_copy($copy);
same_dump(dump($copy), $dump, 'equal by dump');
same_dump(dump($copy, 'other'), $dump_of_other, 'the database in a tablespace too');
foreach my $name (sort keys %locations)
{
	is(staged_psql($copy, 'postgres', "UPDATE in_$name SET t = upper(t); VACUUM in_$name;
			INSERT INTO unlogged_$name VALUES (1); CHECKPOINT;
			SELECT count(*) FROM in_$name WHERE t = upper(t)"),
		'2000', "$name: the copy is changed");
	staged_psql($copy, 'postgres', "ALTER TABLE in_$name SET TABLESPACE pg_default;
		CREATE TABLE new_in_$name TABLESPACE $name AS SELECT 1 AS i");
	staged_psql($copy, 'postgres', "DROP TABLE in_$name, new_in_$name, unlogged_$name");
}
staged_psql($copy, 'postgres', 'DROP DATABASE other');
staged_psql($copy, 'postgres', "DROP TABLESPACE $_") foreach sort keys %locations;
is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM pg_tablespace'), '2',
	'every tablespace can be dropped in the copy');
same_dump(dump($other_copy), $dump, 'a second copy beside it notices nothing');
stop_stage($_) foreach ($copy, $other_copy);
verify_checksums($second);

my $after = tree_state(@origin);
my @changed = grep { ($before->{$_} // '') ne ($after->{$_} // '') } sort keys %{ { %$before, %$after } };
is_deeply(\@changed, [], 'no file of the origin was touched');
cmp_ok(scalar(keys %$before), '>', 1000, 'and there was much to touch');

#
# A tablespace that comes while the backup is under way is in its WAL, with the path that it has on
# the origin. Replayed as it stands it would make the copy write into the origin's files.
#
sub changed_between
{
	my ($old, $new) = @_;
	return [ grep { ($old->{$_} // '') ne ($new->{$_} // '') } sort keys %{ { %$old, %$new } } ];
}

$node->start;
my %late = map { $_ => "$base/$_" } qw(late gone reused many);
mkdir($_) or die foreach values %late;
my $held = start_held_backup($node);
# Dropped and made again at one place within the blink of an eye, and the last one stays away.
foreach my $round (1 .. 5)
{
	$node->safe_psql('postgres', "CREATE TABLESPACE many LOCATION '$late{many}'");
	$node->safe_psql('postgres', 'DROP TABLESPACE many');
}
$node->safe_psql('postgres', "CREATE TABLESPACE $_ LOCATION '$late{$_}'") foreach qw(late gone reused);
$node->safe_psql('postgres', "CREATE TABLESPACE late_in_place LOCATION ''");
$node->safe_psql('postgres', "CREATE TABLE in_$_ TABLESPACE $_ AS SELECT generate_series(1, 1000) AS i")
  foreach qw(late late_in_place gone reused);
$node->safe_psql('postgres', 'DROP TABLE in_gone, in_reused');
$node->safe_psql('postgres', "DROP TABLESPACE $_") foreach qw(gone reused);
$node->safe_psql('postgres', "CREATE TABLESPACE reused_by_another LOCATION '$late{reused}'");
$node->safe_psql('postgres',
	'CREATE TABLE in_reused TABLESPACE reused_by_another AS SELECT generate_series(1, 1000) AS i');
$backup_id = release_backup($held);
$dump = dump($node);
$stage = stage($node, $backup_id);
verify_stage($stage);

# Beside the running server, which has written all that it had to.
$node->safe_psql('postgres', 'CHECKPOINT');
$before = tree_state($base);
cmp_ok(scalar(grep { m{^\Q$late{late}\E/.*/\d+$} } keys %$before), '>', 0, 'the late one has files');
$copy = start_stage($stage);
amcheck_copy($copy);
same_dump(dump($copy), $dump, 'tablespaces made during the backup: equal by dump');
foreach my $name (qw(late reused_by_another))
{
	my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_tablespace WHERE spcname = '$name'");
	is(staged_psql($copy, 'postgres', "SELECT pg_tablespace_location($oid)"),
		"$stage->{directory}.tablespaces/$oid", "$name lies beside the stage");
}
staged_psql($copy, 'postgres', 'UPDATE in_late SET i = i + 1; UPDATE in_reused SET i = i + 1; CHECKPOINT');
is_deeply(changed_between($before, tree_state($base)), [],
	'a copy of such a backup touches no tablespace of the running server');
# Another crash recovery, without backup_label: the links are as they should be.
system_or_bail('pg_ctl', '-D', $stage->{directory}, '-m', 'immediate', '-w', 'stop');
$copy = start_stage($stage);
is(staged_psql($copy, 'postgres', 'SELECT sum(i) FROM in_late'), '501500', 'it recovers from a crash');
staged_psql($copy, 'postgres', 'DROP TABLE in_late; DROP TABLE in_reused; DROP TABLE in_late_in_place; CHECKPOINT');
staged_psql($copy, 'postgres', "DROP TABLESPACE $_") foreach qw(late reused_by_another late_in_place);
stop_stage($copy);
is_deeply(changed_between($before, tree_state($base)), [], 'nor when it drops its own');
same_dump(dump($node), $dump, 'the server has all that it had');

#
# A tablespace whose file system is not mounted: a backup without it would look complete.
#
my $late_oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'late'});
my @objects = repository_files(repository($node));
# No checkpoint is asked for: with such pages to write it would fail, and not say why.
$node->safe_psql('postgres', 'UPDATE in_late SET i = i');
rename($late{late}, "$late{late}.away") or die;
foreach my $case ('no directory', 'an empty mount point')
{
	mkdir($late{late}) or die if $case eq 'an empty mount point';
	fails_with($node, 'SELECT backup_now()', '55000',
		qr/cannot back up tablespace $late_oid: there is no tablespace in "\Q$late{late}\E"/,
		qr/Check that its file system is mounted/, $case);
	is_clean_after($node, $case, \@objects);
}
rmdir($late{late}) or die;
rename("$late{late}.away", $late{late}) or die;
take_backup($node);
$node->stop;

#
# On a standby a backup begins at the last restartpoint: a tablespace that was there before the backup
# is in its WAL all the same.
#
my $primary = new_node('primary', conf => { autovacuum => 'off' });
$primary->backup('seed');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'seed', has_streaming => 1);
my $of_standby = repository($standby);
$standby->append_conf('postgresql.conf', "backup_ext.repository = '$of_standby'");
$standby->start;
my $catch_up = sub { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')) };
$primary->safe_psql('postgres', 'CHECKPOINT');
$catch_up->();

# Primary and standby share a machine, and so the directory. Each server has files of its own in it
# only because the standby's replay finds all there already.
mkdir("$base/$_") or die foreach qw(replayed dropped);
$primary->safe_psql('postgres', "CREATE TABLESPACE $_ LOCATION '$base/$_'") foreach qw(replayed dropped);
$primary->safe_psql('postgres', 'DROP TABLESPACE dropped');
$catch_up->();
$stage = stage($standby, take_backup($standby));
verify_stage($stage);
$before = tree_state($base);
$copy = start_stage($stage);
my $oid = $primary->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'replayed'});
is(readlink("$stage->{directory}/pg_tblspc/$oid"), "$stage->{directory}.tablespaces/$oid",
	'a tablespace made since the last restartpoint: the copy keeps to its own directory');
same_dump(dump($copy), dump($primary), 'a copy of the standby is equal by dump');
staged_psql($copy, 'postgres', 'CREATE TABLE in_replayed TABLESPACE replayed AS SELECT 1 AS i; CHECKPOINT');
stop_stage($copy);
is_deeply(changed_between($before, tree_state($base)), [], 'and touches no other');

done_testing();
