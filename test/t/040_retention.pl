# Retention on a real server: what goes, what stays and why, and that what stays can be restored while and
# after others are removed, cancelled and killed.
use strict;
use warnings;
use List::Util qw(sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use BackupExtTest qw(new_node repository take_backup stage start_stage stop_stage staged_psql dump
  nothing_left_running repository_files fails_with);

my $node = new_node('main', conf => { autovacuum => 'off', restart_after_crash => 'on' });
my $repository = repository($node);
$node->safe_psql('postgres', q{CREATE TABLE t AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i});

sub set_retention
{
	my ($retention, $keep) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET backup_ext.retention = '$retention'");
	$node->safe_psql('postgres', 'ALTER SYSTEM SET backup_ext.retention_keep = ' . ($keep // 1));
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT current_setting('backup_ext.retention') = '$retention'"),
		"retention is $retention");
	return;
}

# One backup more, with a change of its own. Returns the id.
sub backup_of_change
{
	my ($i, %arguments) = @_;
	# Each ends more than a second after the one before: a retention of a second tells them apart.
	usleep(1_100_000);
	$node->safe_psql('postgres', "UPDATE t SET text = 'change $i' WHERE i % 10 = $i");
	return take_backup($node, %arguments);
}

sub listed
{
	return split(/\n/, $node->safe_psql('postgres', 'SELECT backup_id FROM backup_list()'));
}

# backup_id => "action|because|freed_bytes"
sub expire
{
	my ($dry_run) = @_;
	my %rows;
	foreach my $row (split(/\n/, $node->safe_psql('postgres', "SELECT * FROM backup_expire($dry_run)")))
	{
		my ($id, $rest) = split(/\|/, $row, 2);
		$rows{$id} = $rest;
	}
	return \%rows;
}

sub stored_bytes
{
	return sum0(map { -s "$repository/$_" } grep { m{^(backups|packs)/} } repository_files($repository));
}

# Restored, started, and with the last change that it must have.
sub is_restorable
{
	my ($backup_id, $change, $what) = @_;
	my $stage = stage($node, $backup_id);
	my $copy = start_stage($stage);
	is(staged_psql($copy, 'postgres', "SELECT count(*) FROM t WHERE text = 'change $change'"), '2000', $what);
	is(staged_psql($copy, 'postgres', 'SELECT count(*), count(DISTINCT i) FROM t'), '20000|20000',
		"$what: all rows are there");
	stop_stage($copy);
	$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
	return;
}

# Nothing below backups/ and packs/ that does not belong to a listed backup.
sub nothing_unlisted
{
	my ($what) = @_;
	my %known = map { $_ => 1 } listed();
	my @strange = grep { m{^backups/([^/]+)/} && !$known{$1} } repository_files($repository);
	is_deeply(\@strange, [], "$what: nothing is left of a backup that is not listed");
	my %wanted;
	foreach my $id (keys %known)
	{
		my $record = slurp_file("$repository/backups/$id/record.json");
		$wanted{$_} = 1 foreach $record =~ m{"name": "(packs/[^"]+)"}g;
	}
	@strange = grep { m{^packs/} && !$wanted{$_} } repository_files($repository);
	is_deeply(\@strange, [], "$what: no pack is left that no backup uses");
	is_deeply([ grep { !-f "$repository/$_" } sort keys %wanted ], [], "$what: every pack in use is there");
	return;
}

#
# What goes and what stays.
#
my @ids = map { backup_of_change($_) } (0 .. 3);
is_deeply([ listed() ], [ reverse @ids ], 'nothing goes within three days');
is($node->safe_psql('postgres', 'SELECT kept_because, expires_at IS NULL FROM backup_list() LIMIT 1'),
	'it is the newest good backup|t', 'the list says why the newest one stays');
is( $node->safe_psql('postgres', qq{SELECT kept_because, expires_at = finished_at + interval '3 days'
		FROM backup_list() WHERE backup_id = '$ids[0]'}),
	'it is not 3 days older than the newest good backup|t', 'and until when the others do');

$node->safe_psql('postgres', "SELECT backup_pin('$ids[1]')");
is( $node->safe_psql('postgres',
		"SELECT pinned_until, kept_because, expires_at FROM backup_list() WHERE backup_id = '$ids[1]'"),
	'infinity|it is pinned|', 'a pin shows in the list');
$node->safe_psql('postgres', "SELECT backup_pin('$ids[2]', until => now() + interval '10 days')");
is( $node->safe_psql('postgres', qq{SELECT pinned_until = expires_at, kept_because LIKE 'it is pinned until %'
		FROM backup_list() WHERE backup_id = '$ids[2]'}),
	't|t', 'and so does one with an end');
fails_with($node, "SELECT backup_pin('$ids[0]', until => now() - interval '1 second')", '22023',
	'cannot pin a backup until a time that is past', 'backup_unpin');
fails_with($node, q{SELECT backup_pin('20200101-000000-00000000')}, '42704', 'does not exist');

set_retention('1 second');
is($node->safe_psql('postgres', q{SELECT status FROM backup_check() WHERE name = 'retention'}), 'warning',
	'backup_check() sees what is overdue');
my $planned = expire('true');
is_deeply([ listed() ], [ reverse @ids ], 'a dry run removes nothing');
is($planned->{ $ids[1] }, 'keep|it is pinned|0', 'the plan keeps what is pinned');
like($planned->{ $ids[0] }, qr/^remove\|it is more than 1 second older than the newest good backup\|[1-9]/,
	'the plan removes the others, and says why');
my $before = stored_bytes();
my $done = expire('false');
is_deeply($done, $planned, 'what is done is what was planned');
is($before - stored_bytes(), sum0(map { (split(/\|/))[2] } values %$done),
	'freed_bytes is what the directory lost');
is_deeply([ listed() ], [ @ids[ 3, 2, 1 ] ], 'what is pinned and the newest are still there');
nothing_unlisted('after an expiry');
is_restorable($ids[1], 1, 'an older one is whole after its elder is gone');

# By itself, after a success.
$node->safe_psql('postgres', "SELECT backup_unpin('$ids[1]')");
$node->safe_psql('postgres', "SELECT backup_unpin('$ids[1]')");
is($node->safe_psql('postgres', "SELECT pinned_until FROM backup_list() WHERE backup_id = '$ids[1]'"), '',
	'unpinned');
my $log_start = -s $node->logfile;
my $newest = backup_of_change(4);
is_deeply([ listed() ], [ $newest, $ids[2] ], 'a backup that succeeds removes what is too old');
like(slurp_file($node->logfile, $log_start),
	qr/LOG:\s+backup_ext: backup $ids[1] removed, \d+ bytes freed: it is more than 1 second older/,
	'the log says which and why');
nothing_unlisted('after a backup');
is_restorable($ids[2], 2, 'the pinned one is whole after its elders are gone');
is_restorable($newest, 4, 'and so is the newest one');

# A run that fails removes nothing.
$node->safe_psql('postgres', "SELECT backup_unpin('$ids[2]')");
$node->safe_psql('postgres', q{ALTER SYSTEM SET backup_ext.max_rate = '2MB'});
$node->reload;
$node->safe_psql('postgres', 'SELECT backup_now(kind => $$full$$, wait => false)');
ok($node->poll_query_until('postgres', q{SELECT phase = 'copying files' FROM backup_progress()}), 'a backup runs');
foreach my $call ('backup_expire()', "backup_drop('$ids[2]')")
{
	fails_with($node, "SELECT $call", '55P03', 'cannot remove backups now: repository .* is locked by another writer',
		'Wait until it has finished, or cancel it');
}
is(expire('true')->{ $ids[2] } =~ /^remove/ ? 1 : 0, 1, 'a dry run needs no lock');
$node->safe_psql('postgres', "SELECT backup_pin('$newest')");
is($node->safe_psql('postgres', "SELECT pinned_until FROM backup_list() WHERE backup_id = '$newest'"),
	'infinity', 'neither does a pin');
$node->safe_psql('postgres', "SELECT backup_unpin('$newest')");
$node->safe_psql('postgres', 'SELECT backup_cancel(job_id) FROM backup_progress()');
nothing_left_running($node, 'after a cancelled backup');
is_deeply([ listed() ], [ $newest, $ids[2] ], 'a backup that is cancelled removes nothing');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET backup_ext.max_rate');
$node->reload;

#
# Dropping.
#
fails_with($node, q{SELECT backup_drop('latest')}, '55000', 'because it is the newest good one', 'force => true');
$node->safe_psql('postgres', "SELECT backup_pin('$ids[2]')");
fails_with($node, "SELECT backup_drop('$ids[2]', force => true)", '55000', 'because it is pinned',
	'SELECT backup_unpin');
$node->safe_psql('postgres', "SELECT backup_unpin('$ids[2]')");
$node->safe_psql('postgres', "SELECT backup_drop('$ids[2]')");
is_deeply([ listed() ], [$newest], 'dropped');
fails_with($node, "SELECT backup_drop('$ids[2]')", '42704', 'does not exist');
is_restorable($newest, 4, 'what is left is whole');
$node->safe_psql('postgres', q{SELECT backup_drop('latest', force => true)});
is_deeply([ listed() ], [], 'the last one goes when it is forced');
nothing_unlisted('after the last one');
my $again = backup_of_change(5, kind => 'auto');
is_restorable($again, 5, 'a backup after the last one was dropped is whole');

#
# What is being restored stays until the restore has ended: also when it is too old by the settings, and the
# safety backup of that restore expires.
#
set_retention('3 days');
my $old = $again;
$newest = backup_of_change(6);
set_retention('1 second');
$node->safe_psql('postgres', q{ALTER SYSTEM SET backup_ext.max_rate = '8MB'});
$node->reload;
my $reader = IPC::Run::start(
	[ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-c',
		'SET client_min_messages = warning', '-c',
		"SELECT backup_stage_restore('$old', safety_backup => true)" ],
	'>', \my $stage_id, '2>', \my $stage_error);
ok($node->poll_query_until('postgres', q{SELECT phase NOT IN ('starting', 'checking') FROM backup_progress()}),
	'a restore runs');
my $held = 0;
while ($reader->pumpable)
{
	$reader->pump_nb;
	my (undef, undef, $error) = $node->psql('postgres', "SELECT backup_drop('$old')");
	$held++ if ($error // '') =~ /backup "$old" is being read|is locked by another writer/;
	usleep(20_000);
	last if !grep { $_ eq $old } listed();
}
$reader->finish;
$node->safe_psql('postgres', 'ALTER SYSTEM RESET backup_ext.max_rate');
$node->reload;
is($stage_error, '', 'a restore goes on while its backup is to be dropped');
chomp($stage_id);
cmp_ok($held, '>', 0, 'dropping it was refused meanwhile');
like(slurp_file($node->logfile), qr/WARNING:\s+backup $old was not removed: it is to be removed, but is being read/,
	'the expiry of the safety backup went around it');
my %staged = (stage_id => $stage_id);
@staged{qw(directory start_command)} = split(/\|/,
	$node->safe_psql('postgres', "SELECT directory, start_command FROM backup_staged() WHERE stage_id = '$stage_id'"));
my $copy = start_stage(\%staged);
is(staged_psql($copy, 'postgres', q{SELECT count(*) FROM t WHERE text = 'change 5'}), '2000',
	'and what it restored is whole');
stop_stage($copy);

#
# Killed in the middle.
#
set_retention('3 days');
my $delay_us = 0;
foreach my $round (1 .. 6)
{
	my @victims = map { backup_of_change($_) } (7, 8, 9);
	set_retention('1 second');
	my $client = IPC::Run::start(
		[ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-c',
			'SELECT pg_backend_pid()', '-c', 'SELECT * FROM backup_expire()' ],
		'>', \my $output, '2>', \my $error);
	$client->pump until $output =~ /^(\d+)\n/ || !$client->pumpable;
	my ($pid) = $output =~ /^(\d+)/;
	usleep($delay_us);
	$delay_us += 4_000;
	kill('KILL', $pid);
	eval { $client->finish };
	# A backend that was killed takes the server down, which comes up by itself.
	ok($node->poll_query_until('postgres', 'SELECT true'), "round $round: the server is up again");
	foreach my $id (listed())
	{
		my $record = slurp_file("$repository/backups/$id/record.json");
		my @missing = grep { !-f "$repository/$_" } $record =~ m{"name": "(packs/[^"]+)"}g;
		push @missing, 'manifest' unless -f "$repository/backups/$id/manifest";
		is_deeply(\@missing, [], "round $round: what is listed is whole");
	}
	ok((grep { $_ eq $victims[2] } listed()), "round $round: the newest one is there");
	expire('false');
	is_deeply([ listed() ], [ $victims[2] ], "round $round: the next expiry finishes it");
	nothing_unlisted("round $round");
	set_retention('3 days');
}
is_restorable('latest', 9, 'what survived it all is whole');
nothing_left_running($node, 'at the end');

done_testing();
