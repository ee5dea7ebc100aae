# Damage is named and never passed on in silence: damage of the cluster, found while it is backed up,
# and damage of the repository, found when it is read.
use strict;
use warnings;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtTest qw(new_node repository start_load finish_load take_backup stage start_stage stop_stage
  staged_psql dump repository_files wait_for fails_with);

my $node = new_node('main',
	conf => { autovacuum => 'off', shared_buffers => '1MB', 'backup_ext.workers' => 2 });
my $data = $node->data_dir;
my $repository = repository($node);

# As on the first day: the data directory forgets the repository, too.
sub start_afresh
{
	rmtree($repository);
	unlink("$data/backup_ext.state");
	return;
}

#
# Under heavy load, with pages always on their way to the disk: no false alarm.
#
my $load = start_load($node, scale => 2, clients => 8);
foreach my $round (1 .. 10)
{
	take_backup($node, label => "round $round");
}
finish_load($load);
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE state <> 'complete')
		FROM backup_list()}), '10|0', 'ten backups under load, no page called damaged');
is($node->safe_psql('postgres',
		'SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database'), '0',
	'the server counts no failure');
start_afresh();

#
# Pages of the cluster.
#
$node->safe_psql('postgres', q{CREATE TABLE sound AS SELECT i, md5(i::text) AS t
	FROM generate_series(1, 3000) i; CREATE TABLE victim AS SELECT * FROM sound});
my $sound = dump($node, 'postgres', '-T', 'victim', '-T', 'pgbench_*');
my $good = take_backup($node, label => 'before');
my $victim = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('victim')});

sub change_bytes
{
	my ($file, $offset, $bytes) = @_;
	open(my $handle, '+<:raw', $file) or die "could not open \"$file\": $!";
	seek($handle, $offset, 0) or die;
	print $handle $bytes;
	close($handle) or die;
}

sub bytes_at
{
	my ($file, $offset, $count) = @_;
	open(my $handle, '<:raw', $file) or die "could not open \"$file\": $!";
	seek($handle, $offset, 0) or die;
	read($handle, my $bytes, $count) == $count or die;
	return $bytes;
}

sub flip
{
	my ($file, $offset) = @_;
	change_bytes($file, $offset, chr(ord(bytes_at($file, $offset, 1)) ^ 0x40));
}

my @blocks = (
	{ block => 3, what => 'a flipped bit', do => sub { flip("$data/$victim", 3 * 8192 + 4000) } },
	{
		block => 5,
		what => 'a position in the WAL that nobody has reached',
		do => sub { change_bytes("$data/$victim", 5 * 8192, "\xFF" x 8) }
	},
	{
		block => 7,
		what => 'the page of another place',
		do => sub { change_bytes("$data/$victim", 7 * 8192, bytes_at("$data/$victim", 8 * 8192, 8192)) }
	});
my $damaged;
foreach my $case (@blocks)
{
	my $failures = q{SELECT checksum_failures FROM pg_stat_database WHERE datname = 'postgres'};
	my $known = $node->safe_psql('postgres', $failures);
	$node->stop;
	my $original = slurp_file("$data/$victim");
	$case->{do}->();
	$node->start;
	my ($status, $backup_id, $warning) = finish_psql(start_psql($node, 'SELECT backup_now()'));
	my $named = qr/1 page in 1 file failed its checksum: \Q$victim\E block $case->{block}$/m;
	is($status, 0, "$case->{what}: the backup completes");
	like($warning, qr/WARNING:  backup $backup_id holds damaged pages: .*$named/,
		"$case->{what}: the warning names file and block");
	is($node->safe_psql('postgres',
			"SELECT state, backup_id FROM backup_list() LIMIT 1"), "damaged|$backup_id",
		"$case->{what}: the backup is marked");
	like($node->safe_psql('postgres', "SELECT error FROM backup_list() LIMIT 1"), $named,
		"$case->{what}: the list names file and block");
	wait_for($node, "SELECT ($failures) = $known + 1", "$case->{what}: the server counts the failure");
	$damaged = $backup_id;

	$node->stop;
	open(my $handle, '>:raw', "$data/$victim") or die;
	print $handle $original;
	close($handle) or die;
	$node->start;
}
my $stage = stage($node);
is($stage->{backup_id}, $good, 'a damaged backup is never the latest');
verify_stage($stage);
my $copy = start_stage($stage);
amcheck_copy($copy);
stop_stage($copy);
verify_checksums($stage);
# Asked for by its id it comes back, for what is sound in it.
$stage = stage($node, $damaged);
verify_stage($stage);
$copy = start_stage($stage);
same_dump(dump($copy, 'postgres', '-T', 'victim', '-T', 'pgbench_*'), $sound,
	'of a damaged backup, what is sound can be had');
stop_stage($copy);
$node->safe_psql('postgres', 'SELECT backup_discard_stage(stage_id) FROM backup_staged()');

#
# Objects of the repository. Each case starts from the sound repository.
#
start_afresh();
my $kept = "$repository.kept";
my $older = take_backup($node, label => 'older');
my $newer = take_backup($node, label => 'newer', kind => 'full');
rename($repository, $kept) or die;
my ($pack) = grep { -s "$kept/$_" > 300_000 } grep { m{^packs/\Q$newer\E/} } repository_files($kept);
my ($other_pack) = grep { m{^packs/\Q$older\E/} } repository_files($kept);
my $manifest = "backups/$newer/manifest";
my $record = "backups/$newer/record.json";
my $packs = qr{packs/\Q$newer\E/};

sub damage_file { my ($path, $do) = @_; $do->("$repository/$path", -s "$repository/$path"); return; }

my @cases = (
	{
		name => 'a bit of a frame flipped',
		damage => sub { damage_file($pack, sub { flip($_[0], int($_[1] / 2)) }) },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": /
	},
	{
		name => 'a pack cut short',
		damage => sub { damage_file($pack, sub { truncate($_[0], $_[1] - 100) or die }) },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": /
	},
	{
		name => 'a pack emptied',
		damage => sub { damage_file($pack, sub { truncate($_[0], 0) or die }) },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": /
	},
	{
		name => 'a pack missing',
		damage => sub { unlink("$repository/$pack") or die },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": the pack does not exist/
	},
	{
		name => 'a pack of another backup in its place',
		damage => sub { system_or_bail('cp', "$repository/$other_pack", "$repository/$pack") },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": the pack's header is that of/
	},
	{
		name => 'zeros in a pack',
		damage => sub { damage_file($pack, sub { change_bytes($_[0], 200_000, "\0" x 4096) }) },
		message => qr/could not read frame at offset \d+ of pack "\Q$pack\E": /
	},
	{
		name => 'a manifest cut short',
		damage => sub { damage_file($manifest, sub { truncate($_[0], $_[1] - 1) or die }) },
		message => qr/manifest/
	},
	{
		name => 'a bit of a manifest flipped',
		damage => sub { damage_file($manifest, sub { flip($_[0], int($_[1] / 2)) }) },
		message => qr/manifest/
	},
	{
		name => 'a manifest missing',
		damage => sub { unlink("$repository/$manifest") or die },
		message => qr/manifest/
	},
	{
		name => 'the manifest of another backup',
		damage => sub { system_or_bail('cp', "$repository/backups/$older/manifest", "$repository/$manifest") },
		message => qr/manifest/
	},
	{
		name => 'a bit of a record flipped',
		damage => sub { damage_file($record, sub { flip($_[0], int($_[1] / 2)) }) },
		message => qr/could not read the record of backup "\Q$newer\E": /,
		unreadable => 1
	},
	{
		name => 'a record cut short',
		damage => sub { damage_file($record, sub { truncate($_[0], $_[1] - 10) or die }) },
		message => qr/could not read the record of backup "\Q$newer\E": /,
		unreadable => 1
	},
	{
		name => 'the record of another backup',
		damage => sub { system_or_bail('cp', "$repository/backups/$older/record.json", "$repository/$record") },
		message => qr/could not read the record of backup "\Q$newer\E": /,
		unreadable => 1
	});

my $target = $node->basedir . '/by_program';
my $staging = "$data.staged";
foreach my $case (@cases)
{
	my $name = $case->{name};
	system_or_bail('cp', '-a', $kept, $repository);
	$case->{damage}->();

	fails_with($node, "SELECT backup_stage_restore('$newer', safety_backup => false)", 'XX001',
		$case->{message}, undef, $name);
	my ($status, $output, $error) = finish_psql(
		start_psql($node, "SELECT backup_stage_restore('$newer', safety_backup => false)"));
	like($error, qr/\Q$newer\E/, "$name: the error names the backup");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_staged()'), '0', "$name: no stage is listed");
	is_deeply([ grep { !/^\.\.?$/ } slurp_dir($staging) ], [], "$name: no stage is left on disk");

	my $program = '';
	IPC::Run::run([ 'backup_ext', '--repository', $repository, 'restore', $newer, $target ],
		'<', \undef, '>&', \$program);
	is($? >> 8, 3, "$name: exit code of the program");
	like($program, $case->{message}, "$name: message of the program");
	ok(!-e $target && !-e "$target.tablespaces", "$name: the program leaves nothing");

	is($node->safe_psql('postgres', 'SELECT backup_id, state, error IS NOT NULL FROM backup_list()
			ORDER BY label NULLS LAST'),
		$case->{unreadable}
		? join("\n", "$older|complete|f", "$newer|unreadable|t")
		: join("\n", "$newer|complete|f", "$older|complete|f"),
		"$name: the list");
	start_afresh();
}

# One that is sound is not touched by the damage of another.
system_or_bail('cp', '-a', $kept, $repository);
flip("$repository/$pack", 100_000);
flip("$repository/$record", 200);
$stage = stage($node, 'latest');
is($stage->{backup_id}, $older, 'the latest that can be read is the older one');
verify_stage($stage);
command_ok([ 'backup_ext', '--repository', $repository, 'restore', 'latest', $target ],
	'the program restores it too');
command_ok([ 'pg_verifybackup', $target ], 'and pg_verifybackup accepts that');

done_testing();
