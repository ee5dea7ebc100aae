# What may happen to a whole cluster between a backup and the next one: which parent the next one may have, and
# that it is the cluster, whatever it has.
use strict;
use warnings;
use File::Find qw(find);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use BackupExtCompare;
use BackupExtJudges;
use BackupExtPropertyActions qw($template);
use BackupExtTest qw(new_node repository take_backup start_stage stop_stage staged_psql fails_with);

my $node = new_node('main', no_checksums => 1,
	conf => { autovacuum => 'off', wal_log_hints => 'on', wal_keep_size => '256MB' });
$node->safe_psql('postgres', $template . <<'SQL');
CREATE TABLE rows (k int PRIMARY KEY, v int, tags int[], t text, pad text);
INSERT INTO rows SELECT * FROM rows_of(0, 3000, 1);
CREATE TABLE round (n int);
SQL
my $round = 0;

fails_with($node, q{SELECT backup_now(kind => 'incremental')}, '55000', 'cannot take an incremental backup',
	q{kind => 'auto'}, 'an incremental backup without an earlier one');
my $first = take_backup($node);
is_kind($node, $first, 'full', qr/^there is no full backup yet$/, undef, 'the first one');
is_kind($node, take_backup($node, kind => 'full'), 'full', qr/^it was asked for$/, undef, 'one that was asked for');

# What happens; then the kind of the next backup, and why, where it is a full one. Without "kind" either
# would do. "parent" is which one it refers to: the newest before what happened, or an earlier one, because
# that cannot be a parent.
my @histories = (
	{ name => 'nothing', happens => sub { }, kind => 'incremental', parent => 'newest', almost_nothing => 1 },
	{ name => 'changes, and the parent is dropped', happens => sub { change($node) }, kind => 'incremental',
		parent => 'newest', drop => 1 },
	{ name => 'a crash', happens => \&crash, kind => 'incremental', parent => 'newest' },
	{ name => 'wal_level minimal for a while', happens => \&minimal_for_a_while, kind => 'full',
		reason => qr/not remembered/ },
	{ name => 'checksums switched on', happens => sub { checksums('--enable') }, kind => 'full',
		reason => qr/data checksums were switched/ },
	{ name => 'checksums switched off and on', happens => sub { checksums('--disable', '--enable') } },
	{ name => 'checksums switched off', happens => sub { checksums('--disable') },
		parent => 'an earlier one' },
	{ name => 'pg_resetwal', happens => \&reset_wal },
	{ name => 'the data directory set back to an earlier moment', happens => \&set_back, kind => 'incremental',
		parent => 'newest' },
	{ name => 'a pack of the parent lost', happens => \&lose_pack, kind => 'incremental',
		parent => 'an earlier one', warning => qr/lacks pack "/ },
	{ name => 'an earlier backup as the server', happens => sub { go_on_from($first, 1) }, kind => 'full',
		reason => qr/timeline history|not remembered/ },
	{ name => 'changes after that', happens => sub { change($node) }, kind => 'incremental', parent => 'newest' },
	# Timeline, history and place where it was left are those of the other life.
	{ name => 'the same backup as the server once more', happens => sub { go_on_from($first, 20) }, kind => 'full',
		reason => qr/not remembered/ },
	{ name => 'the server rewound to its promoted standby', happens => \&rewind });

foreach my $history (@histories)
{
	my $name = $history->{name};
	# A file that was made within a second before its parent read it is stored again.
	sleep(2) if $history->{almost_nothing};
	my $newest = take_backup($node);
	$history->{happens}->($newest);
	my $before = -s $node->logfile;
	my $child = take_backup($node, label => $name);
	my @warnings = slurp_file($node->logfile, $before) =~ /WARNING:  (backup \S+ .*)/g;
	if ($history->{warning})
	{
		like("@warnings", qr/^backup \Q$newest\E $history->{warning}/, "$name: a warning in the log");
	}
	else
	{
		is("@warnings", '', "$name: no warning in the log");
	}
	my $expected = cluster_dump($node);
	my $parent = $history->{parent} // '';
	is_kind($node, $child, $history->{kind}, $history->{reason}, $parent eq 'newest' ? $newest : undef, $name);
	isnt(record_of($node, $child)->{parent_id}, $newest, "$name: an earlier parent") if $parent eq 'an earlier one';
	is($node->safe_psql('postgres', "SELECT stored_bytes < database_bytes / 20 FROM backup_list() WHERE backup_id = '$child'"),
		't', "$name: almost nothing is stored") if $history->{almost_nothing};
	$node->safe_psql('postgres', "SELECT backup_drop('$newest')") if $history->{drop};
	my $stage = restore_by_program($node, $child);
	prove_stage($stage, $expected, $name);
	system_or_bail('rm', '-rf', $stage->{directory});
}

# A standby whose past has the parent, but whose files are others.
my $standby = base_copy($node);
my $child = take_backup($node);
change($node);
start_copy($standby);
# While both run, one of them is a copy that must not write there.
$node->stop;
promote($standby);
my $after = $standby->{copy};
staged_psql($after, 'postgres', 'INSERT INTO round VALUES (-1)');
my $promoted = staged_psql($after, 'postgres', q{SELECT backup_now(label => 'promoted')});
my $expected = cluster_dump($after);
isnt(record_of($node, $promoted)->{parent_id} // '', $child,
	'a promoted standby does not refer to what only the old primary took');
my $stage = restore_by_program($node, $promoted);
prove_stage($stage, $expected, 'a promoted standby');
succeeds('the standby stops', 'pg_ctl', '-D', "$standby->{directory}/data", '-m', 'fast', '-w', 'stop');
# Who was the primary goes on as if there had been no other: it may when the other's backups are gone.
$node->start;
$node->safe_psql('postgres', "SELECT backup_drop('$promoted', force => true)");

# A standby has parents of its own.
my $base = base_copy($node);
start_copy($base);
my $follower = $base->{copy};
follow($follower);
my $of_standby = staged_psql($follower, 'postgres', 'SELECT backup_now()');
is_kind($node, $of_standby, undef, undef, undef, 'the first one of a standby');
foreach my $times (1, 2)
{
	change($node);
	follow($follower);
	my $parent = newest_backup($node);
	my $incremental = staged_psql($follower, 'postgres', q{SELECT backup_now(kind => 'incremental')});
	is_kind($node, $incremental, 'incremental', undef, $parent, "incremental backup $times of a standby");
	my $dump = without_sequences(cluster_dump($follower));
	prove_stage(restore_by_program($node, $incremental), $dump, "incremental backup $times of a standby");
}
succeeds('the standby stops', 'pg_ctl', '-D', "$base->{directory}/data", '-m', 'fast', '-w', 'stop');

sub newest_backup
{
	my ($server) = @_;
	return $server->safe_psql('postgres', 'SELECT backup_id FROM backup_list() LIMIT 1');
}

# All that the primary has done is on the disk of the standby.
sub follow
{
	my ($copy) = @_;
	my $lsn = $node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_flush_lsn()');
	foreach my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if staged_psql($copy, 'postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't';
		usleep(100_000);
	}
	staged_psql($copy, 'postgres', 'CHECKPOINT');
	return;
}

sub is_kind
{
	my ($server, $backup_id, $kind, $reason, $parent, $what) = @_;
	my $record = record_of($server, $backup_id);
	note("$what: $record->{kind}, parent " . ($record->{parent_id} // '') . ', ' . ($record->{parent_reason} // ''));
	is($record->{kind}, $kind, "$what: kind") if defined $kind;
	is($record->{parent_id}, $parent, "$what: parent") if defined $parent;

	my $because = $server->safe_psql('postgres',
		"SELECT full_because FROM backup_list() WHERE backup_id = '$backup_id'");
	like($because, $record->{kind} eq 'full' ? $reason // qr/./ : qr/^$/, "$what: full_because");
	like(slurp_file($server->logfile), qr/LOG:  backup_ext: backup \Q$backup_id\E: kind full, because \Q$because\E$/m,
		"$what: the log has the reason") if defined $reason;
	return;
}

sub change
{
	my ($server) = @_;
	$round++;
	$server->safe_psql('postgres', "INSERT INTO round VALUES ($round);"
		  . "UPDATE rows SET v = v + 1 WHERE k % 100 = $round; VACUUM rows; DELETE FROM rows WHERE k = 10 * $round;");
	return;
}

sub crash
{
	change($node);
	$node->stop('immediate');
	$node->start;
	return;
}

# What fills a table of the same transaction is then not in the WAL.
sub minimal_for_a_while
{
	my @settings = ('wal_level = minimal', 'max_wal_senders = 0');
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_") foreach @settings;
	$node->restart;
	$node->safe_psql('postgres', <<'SQL');
BEGIN; TRUNCATE rows; INSERT INTO rows SELECT * FROM rows_of(0, 3000, 3); COMMIT;
BEGIN; CREATE TABLE IF NOT EXISTS not_in_wal (k int PRIMARY KEY); INSERT INTO not_in_wal SELECT generate_series(1, 3000); COMMIT;
SQL
	change($node);
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET wal_level');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_wal_senders');
	$node->restart;
	return;
}

sub checksums
{
	my (@switches) = @_;
	foreach my $switch (@switches)
	{
		change($node);
		$node->stop;
		succeeds("pg_checksums $switch", 'pg_checksums', $switch, '--no-sync', '-D', $node->data_dir);
		$node->start;
	}
	return;
}

sub reset_wal
{
	change($node);
	$node->stop;
	succeeds('pg_resetwal', 'pg_resetwal', '-D', $node->data_dir);
	$node->start;
	change($node);
	return;
}

# As the snapshot of a virtual machine does: the same inodes, births, times of change and timeline, and WAL
# positions that were used before. The backup in between belongs to a life that is no more.
sub set_back
{
	my $data = $node->data_dir;
	my $snapshot = PostgreSQL::Test::Utils::tempdir('snapshot') . '/data';
	$node->stop;
	system_or_bail('cp', '-a', $data, $snapshot);
	$node->start;
	$node->safe_psql('postgres', q{UPDATE rows SET v = -1 WHERE k % 7 = 0; INSERT INTO round VALUES (-7)});
	take_backup($node, label => 'of the life that is no more');
	$node->stop;
	find({ no_chdir => 1, bydepth => 1, wanted => sub {
				my $path = substr($_, length($data));
				(-d $_ && !-l $_ ? rmdir($_) : unlink($_)) unless -e "$snapshot$path";
			} }, $data);
	# Files that are there are written in their place.
	system_or_bail('cp', '-aT', $snapshot, $data);
	$node->start;
	# To where the other life was, and further.
	$node->safe_psql('postgres', q{UPDATE rows SET v = -2 WHERE k % 5 = 0; INSERT INTO round VALUES (-5)});
	change($node);
	skip_wal(5);
	return;
}

# To positions beyond those of another life.
sub skip_wal
{
	my ($segments) = @_;
	$node->safe_psql('postgres', 'SELECT pg_switch_wal(); INSERT INTO round VALUES (0)') foreach (1 .. $segments);
	return;
}

sub lose_pack
{
	my ($newest) = @_;
	my $record = record_of($node, $newest);
	my @packs = glob(repository($node) . "/packs/$newest/*.pack");
	rename($packs[0], "$packs[0].lost") or die "could not rename \"$packs[0]\": $!";
	return;
}

sub go_on_from
{
	my ($backup_id, $segments) = @_;
	my $stage = restore_by_program($node, $backup_id);
	stop_stage(start_stage($stage));
	system_or_bail('rm', '-rf', become_server($node, $stage));
	change($node);
	skip_wal($segments);
	return;
}

# The old primary goes its own way for a while, is rewound to the standby that was promoted, and becomes
# the primary again. It keeps its inodes, and what both had before.
sub rewind
{
	my $base = base_copy($node);
	# It replays up to here, and not the change.
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	promote($base);
	change($node);
	staged_psql($base->{copy}, 'postgres', q{UPDATE rows SET v = -3 WHERE k % 11 = 0; CHECKPOINT});
	$node->stop;
	my $data = $node->data_dir;
	my @keep = ('postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf');
	my $kept = PostgreSQL::Test::Utils::tempdir('configuration');
	system_or_bail('cp', '-p', (map { "$data/$_" } @keep), $kept);
	succeeds('the promoted standby stops', 'pg_ctl', '-D', "$base->{directory}/data", '-m', 'fast', '-w', 'stop');
	succeeds('pg_rewind', 'pg_rewind', '-D', $data, "--source-pgdata=$base->{directory}/data", '--no-sync');
	system_or_bail('cp', '-p', (map { "$kept/$_" } @keep), $data);
	unlink("$data/standby.signal");
	system_or_bail('sh', '-c', "cp -n '$base->{directory}'/data/pg_wal/0* '$data/pg_wal/'");
	$node->start;
	change($node);
	return;
}

sub promote
{
	my ($base) = @_;
	start_copy($base) unless defined $base->{copy};
	succeeds('and is promoted', 'pg_ctl', '-D', "$base->{directory}/data", '-w', 'promote');
	return;
}

# A base_copy(), as a standby.
sub start_copy
{
	my ($base) = @_;
	my $socket = PostgreSQL::Test::Utils::tempdir_short();
	my $data = "$base->{directory}/data";
	append_to_file("$data/postgresql.auto.conf",
		"listen_addresses = ''\nunix_socket_directories = '$socket'\nport = 5432\n");
	succeeds('the standby starts', 'pg_ctl', '-D', $data, '-l', "$base->{directory}/log", '-w', 'start');
	$base->{copy} = { host => $socket, port => 5432 };
	return;
}

done_testing();
