# backup_verify(): nothing where nothing is wrong, every damaged file where something is, whatever was
# done to the repository; what it finds a restore refuses. The result is remembered, and verify_interval
# does it alone.
use strict;
use warnings;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtFaults qw(start_sql finish_sql wait_until set_and_reload hold_in_phase let_go ways_to_cancel
  waiting_call cancel);
use BackupExtTest qw(new_node repository start_load finish_load take_backup repository_files
  nothing_left_running wait_for fails_with);

my $seed = $ENV{BACKUP_EXT_TEST_SEED} // int(rand(2**31));
srand($seed);
note("seed $seed (BACKUP_EXT_TEST_SEED)");

my $node = new_node('main', extra => [ '--data-checksums', '--wal-segsize=1' ],
	conf => {
		shared_preload_libraries => 'backup_ext, backup_ext_border',
		'backup_ext.workers' => 2, max_wal_senders => 5
	});
my $repository = repository($node);
my $rows = q{SELECT path, offset_bytes, problem FROM backup_verify(%s)};

sub verify
{
	my ($backup_id) = @_;
	return $node->safe_psql('postgres',
		sprintf($rows, defined $backup_id ? "'$backup_id'" : ''));
}

sub check_row
{
	my ($name) = @_;
	return $node->safe_psql('postgres', "SELECT status, detail FROM backup_check() WHERE name = '$name'");
}

#
# Sound backups: of a busy server, of an idle one, of a standby, of a later timeline.
#
my $tablespace = $node->basedir . '/tablespace';
mkdir($tablespace) or die;
$node->safe_psql('postgres', "CREATE TABLESPACE other LOCATION '$tablespace'");
$node->safe_psql('postgres', q{CREATE TABLE elsewhere TABLESPACE other AS
	SELECT g, repeat(md5(g::text), 100) AS t FROM generate_series(1, 3000) g;
	CREATE UNLOGGED TABLE forgotten AS SELECT generate_series(1, 1000)});
like(check_row('verified'), qr/^ok\|no backup was verified yet/, 'backup_check() before the first')
  if take_backup($node, label => 'idle');
is(verify(), '', 'an idle server: sound');
my $load = start_load($node, scale => 5, clients => 8);
foreach my $round (1 .. 3)
{
	take_backup($node, label => "busy $round", kind => 'full');
	is(verify(), '', "a busy server, round $round: sound");
}
foreach my $round (1 .. 3)
{
	take_backup($node, label => "incremental $round", kind => 'incremental');
	is(verify(), '', "a busy server, incremental, round $round: sound");
}
finish_load($load);
like(check_row('verified'), qr/^ok\|last verified 0\.0 hours ago, and sound/, 'backup_check() after it');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$node->safe_psql('postgres', 'ALTER TABLE elsewhere SET TABLESPACE pg_default');
$node->safe_psql('postgres', 'DROP TABLESPACE other');
$node->backup('for_standby', backup_options => [ '-c', 'fast' ]);
$standby->init_from_backup($node, 'for_standby', has_streaming => 1);
my $standby_repository = $standby->basedir . '/repository';
$standby->append_conf('postgresql.conf', "backup_ext.repository = '$standby_repository'");
$standby->start;
$load = start_load($node, scale => 1, database => 'template1');
sub verify_there { return $standby->safe_psql('postgres', sprintf($rows, '')) }
$node->wait_for_catchup($standby);
take_backup($standby, label => 'standby');
is(verify_there(), '', 'a standby: sound');
finish_load($load, 'template1');
$standby->promote;
$standby->safe_psql('postgres', 'CREATE TABLE later AS SELECT generate_series(1, 10000)');
take_backup($standby, label => 'promoted');
is(verify_there(), '', 'a promoted standby: sound');
$standby->stop;

#
# The table of damage. Each case starts from the sound repository.
#
$node->safe_psql('postgres', 'DROP TABLE pgbench_history, pgbench_tellers');
rmtree($repository);
unlink($node->data_dir . '/backup_ext.state') or die;    # it was removed on purpose
my $older = take_backup($node, label => 'older', kind => 'full');
my $newer = take_backup($node, label => 'newer', kind => 'full');
is(verify($_), '', "sound before it is damaged: $_") foreach $older, $newer;
my $notes = qr{^backups/[^/]+/verify-};
my $kept = "$repository.kept";
rename($repository, $kept) or die;

my @packs = grep { m{^packs/\Q$newer\E/} && -s "$kept/$_" > 200_000 } repository_files($kept);
my @packs_of_older = grep { m{^packs/\Q$older\E/} && -s "$kept/$_" > 200_000 } repository_files($kept);
# The one with the WAL in it is that of the last thread.
my ($wal_pack) = sort { $b cmp $a } grep { m{^packs/\Q$newer\E/} } repository_files($kept);
ok(@packs >= 1 && @packs_of_older >= 1, 'there are packs to damage');
my $manifest = "backups/$newer/manifest";
my $record = "backups/$newer/record.json";

sub damage_file { my ($path, $do) = @_; $do->("$repository/$path", -s "$repository/$path"); return; }

sub change_bytes
{
	my ($file, $offset, $bytes) = @_;
	open(my $handle, '+<:raw', $file) or die "could not open \"$file\": $!";
	seek($handle, $offset, 0) or die;
	print $handle $bytes;
	close($handle) or die;
	return;
}

sub flip
{
	my ($file, $offset) = @_;
	open(my $handle, '<:raw', $file) or die "could not open \"$file\": $!";
	seek($handle, $offset, 0) or die;
	read($handle, my $byte, 1) == 1 or die "nothing at $offset of \"$file\"";
	close($handle);
	change_bytes($file, $offset, chr(ord($byte) ^ (1 << int(rand(8)))));
	return;
}

my $frame = qr/could not read frame at offset \d+ of pack "packs\/\Q$newer\E/;
my @cases = (
	(
		map {
			my $number = $_;
			{
				name => "a bit flipped somewhere in a pack, $number",
				damage => sub {
					my $pack = $packs[ int(rand(@packs)) ];
					damage_file($pack, sub { flip($_[0], int(rand($_[1]))) });
				},
				rows => qr/^\S+\|\d*\|$frame/
			}
		} 1 .. 12
	),
	{
		name => 'the header of a pack',
		damage => sub { damage_file($packs[0], sub { flip($_[0], int(rand(64))) }) },
		rows => qr/the pack has no sound header|the pack's header/,
		many => 1
	},
	{
		name => 'the WAL pack',
		damage => sub { damage_file($wal_pack, sub { flip($_[0], 200 + int(rand($_[1] - 200))) }) },
		rows => qr/^pg_wal\/[0-9A-F]{24}\|\d+\|$frame/
	},
	{
		name => 'the WAL pack missing',
		damage => sub { unlink("$repository/$wal_pack") or die },
		rows => qr/^pg_wal\/[0-9A-F]{24}\|0\|$frame.*: the pack does not exist/
	},
	{
		# Far enough in front that it is not all one large file's.
		name => 'a pack cut short',
		damage => sub { damage_file($packs[0], sub { truncate($_[0], int($_[1] / 20)) or die }) },
		rows => qr/: frame ends early/,
		many => 1
	},
	{
		name => 'a pack emptied',
		damage => sub { damage_file($packs[0], sub { truncate($_[0], 0) or die }) },
		rows => qr/the pack has no sound header/,
		many => 1
	},
	{
		name => 'a pack missing',
		damage => sub { unlink("$repository/$packs[0]") or die },
		rows => qr/the pack does not exist/,
		many => 1
	},
	{
		name => 'a pack of another backup in its place',
		damage => sub { system_or_bail('cp', "$repository/$packs_of_older[0]", "$repository/$packs[0]") },
		rows => qr/the pack's header is that of "packs\/\Q$older\E/,
		many => 1
	},
	{
		name => 'a manifest cut short',
		damage => sub { damage_file($manifest, sub { truncate($_[0], $_[1] - 1) or die }) },
		rows => qr/^manifest\|\|its manifest has \d+ bytes instead of \d+$/
	},
	{
		name => 'a bit of a manifest flipped',
		damage => sub { damage_file($manifest, sub { flip($_[0], int(rand($_[1]))) }) },
		rows => qr/^manifest\|\|its manifest is not the one that its record names$/
	},
	{
		name => 'a manifest missing',
		damage => sub { unlink("$repository/$manifest") or die },
		rows => qr/^manifest\|\|its manifest is missing$/
	},
	{
		name => 'the manifest of another backup',
		damage => sub { system_or_bail('cp', "$repository/backups/$older/manifest", "$repository/$manifest") },
		rows => qr/^manifest\|\|its manifest /
	},
	{
		name => 'a bit of a record flipped',
		damage => sub { damage_file($record, sub { flip($_[0], int(rand($_[1]))) }) },
		rows => qr/^record\.json\|\|could not read the record of backup "\Q$newer\E": /,
		by_id => 1
	},
	{
		name => 'the record of another backup',
		damage => sub { system_or_bail('cp', "$repository/backups/$older/record.json", "$repository/$record") },
		rows => qr/^record\.json\|\|could not read the record of backup "\Q$newer\E": /,
		by_id => 1
	});
foreach my $case (@cases)
{
	my $name = $case->{name};
	system_or_bail('cp', '-a', $kept, $repository);
	unlink(map { "$repository/$_" } grep { $_ =~ $notes } repository_files($repository));
	$case->{damage}->();
	my $log_position = -s $node->logfile;

	my $found = verify($newer);
	like($found, $case->{rows}, "$name: named");
	my @lines = split(/\n/, $found);
	if ($case->{many}) { cmp_ok(scalar(@lines), '>', 1, "$name: every file is named"); }
	my ($count, $first) = (scalar(@lines), (split(/\|/, $lines[0] // '', 2))[0]);
	like(slurp_file($node->logfile, $log_position),
		qr/WARNING:  backup \Q$newer\E is damaged: $count files?, the first is \Q$first\E: /,
		"$name: the server log tells it");
	like(check_row('verified'), $case->{by_id} ? qr/^ok\|/ : qr/^error\|damaged when it was last verified: \Q$newer\E; /,
		"$name: backup_check() tells it");
	is(verify($older), '', "$name: the other backup is sound");
	fails_with($node, "SELECT backup_stage_restore('$newer', safety_backup => false)", 'XX001',
		qr/./, undef, "$name: a restore refuses it");
	rmtree($repository);
}

#
# The result is remembered; a later one counts.
#
rename($kept, $repository) or die;
unlink(map { "$repository/$_" } grep { $_ =~ $notes } repository_files($repository));
is(verify('latest'), '', 'latest: sound');
is(scalar(grep { m{^backups/\Q$newer\E/verify-} } repository_files($repository)), 1,
	'one note beside the record');
system_or_bail('cp', '-a', "$repository/$packs[0]", "$repository.pack");
damage_file($packs[0], sub { truncate($_[0], 100) or die });
isnt(verify(), '', 'damaged');
like(check_row('verified'), qr/^error\|/, 'and backup_check() says so');
system_or_bail('cp', '-a', "$repository.pack", "$repository/$packs[0]");
is(verify(), '', 'mended');
like(check_row('verified'), qr/^ok\|/, 'and backup_check() says so');

# Where nothing can be written the rows come nevertheless.
SKIP:
{
	skip 'root may write anywhere', 3 if $> == 0;
	chmod(0500, "$repository/backups/$newer", "$repository/tmp") or die;
	damage_file($packs[0], sub { truncate($_[0], 100) or die });
	my ($output, $error) = ('', '');
	my $status = $node->psql('postgres', sprintf($rows, ''), stdout => \$output, stderr => \$error);
	is($status, 0, 'a repository that cannot be written: verify works');
	like($output, qr/frame ends early/, 'it returns its rows');
	like($error, qr/WARNING:  could not remember the result of verifying backup \Q$newer\E: /,
		'and warns that the catalog does not know');
	chmod(0700, "$repository/backups/$newer", "$repository/tmp") or die;
	system_or_bail('cp', '-a', "$repository.pack", "$repository/$packs[0]");
}

# An incremental backup needs the packs of its parent.
my $child = take_backup($node, label => 'child', kind => 'incremental');
is($node->safe_psql('postgres', "SELECT kind FROM backup_list() WHERE backup_id = '$child'"),
	'incremental', 'a child of it');
is(verify($child), '', 'the child: sound');
# Half of it: a single frame may be one that the child has stored anew.
damage_file($packs[0], sub { truncate($_[0], int($_[1] / 2)) or die });
like(verify($child), qr/^\S+\|\d+\|$frame/, 'the child: the damage of its parent is its own');
system_or_bail('cp', '-a', "$repository.pack", "$repository/$packs[0]");
is(verify($child), '', 'the child: mended');

#
# Refusals.
#
fails_with($node, q{SELECT * FROM backup_verify('x')}, '22023', qr/"x" is not a backup id/, 'backup_list',
	'no id');
fails_with($node, q{SELECT * FROM backup_verify('20000101-000000-00000000')}, '42704',
	qr/backup "20000101-000000-00000000" does not exist/, 'backup_list', 'no such backup');

#
# Ended by every means, it leaves nothing and remembers nothing.
#
my $call = "SELECT * FROM backup_verify('$newer')";
foreach my $way (ways_to_cancel())
{
	my $what = "verify, $way->{name}";
	my ($run, $worker) = hold_in_phase($node, waiting_call($call, $way), 'verifying files', 20);
	my $notes_before = scalar(grep { $_ =~ $notes } repository_files($repository));
	if ($way->{name} eq 'backup_cancel()')
	{
		is($node->safe_psql('postgres', 'SELECT operation, backup_id FROM backup_progress()'),
			"verify|$newer", 'backup_progress() shows it');
		fails_with($node, $call, '55006', qr/could not start verify: backup \Q$newer\E is being verified/,
			'backup_cancel', 'the same backup twice at once');
		is(verify($older), '', 'another backup is verified beside it');
		$notes_before++;
		take_backup($node, label => 'beside a verify');
	}
	cancel($node, $way, $run, $worker, $what);
	nothing_left_running($node, $what);
	is(scalar(grep { $_ =~ $notes } repository_files($repository)), $notes_before, "$what: no note");
}

#
# verify_interval.
#
unlink(map { "$repository/$_" } grep { $_ =~ $notes } repository_files($repository));
$node->restart;
my $notes_there = sub { return scalar(grep { $_ =~ $notes } repository_files($repository)) };
my $newest = $node->safe_psql('postgres', 'SELECT backup_id FROM backup_list() LIMIT 1');
set_and_reload($node, 'backup_ext.verify_interval', '7 days', '7 days');
wait_until(sub { $notes_there->() == 1 }, 'the launcher verifies');
is(scalar(grep { m{^backups/\Q$newest\E/verify-} } repository_files($repository)), 1,
	'verify_interval: the newest backup is verified');
$node->reload;    # looks at once
sleep(3);
is($notes_there->(), 1, 'verify_interval: not again before it is due');
$node->restart;
sleep(3);
is($notes_there->(), 1, 'verify_interval: nor after a restart');
my $log_position = -s $node->logfile;
my ($pack_of_newest) = grep { m{^packs/\Q$newest\E/} } repository_files($repository);
damage_file($pack_of_newest, sub { truncate($_[0], 100) or die });
set_and_reload($node, 'backup_ext.verify_interval', '1 second', '1 second');
wait_until(sub { slurp_file($node->logfile, $log_position) =~ /WARNING:  backup \Q$newest\E is damaged: / },
	'the log names the damage');
like(check_row('verified'), qr/^error\|/, 'verify_interval: backup_check() tells of damage');
set_and_reload($node, 'backup_ext.verify_interval', undef, '0');

# A verify that fails as a whole is not tried again at once.
wait_until(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM backup_progress()') eq '0' }, 'quiet');
$node->stop;
done_testing();
