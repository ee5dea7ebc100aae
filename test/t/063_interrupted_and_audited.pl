# A backup that was interrupted is a parent for what it had stored, and a full backup compares what the
# incremental ones before it believed with what it reads.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtCompare;
use BackupExtFaults qw(hold_in_phase let_go wait_for_signal finish_sql waiting_call set_and_reload);
use BackupExtTest qw(new_node repository repository_files take_backup nothing_left_running);

# Small segments: of a recycled one the old content is stored, too.
my $node = new_node('main', extra => [ BackupExtTest::without_checksums(), '--wal-segsize=1' ], conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	'backup_ext.workers' => 2, autovacuum => 'off'
});
# What does not compress: an interrupted backup is worth keeping from 64 MiB on.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgcrypto;
CREATE TABLE large AS SELECT g, gen_random_bytes(1000) AS bytes FROM generate_series(1, 90000) g;
CREATE TABLE small AS SELECT g, md5(g::text) AS t FROM generate_series(1, 20000) g;
VACUUM (FREEZE) large, small;
CHECKPOINT;
SQL

sub figures
{
	my ($backup_id) = @_;
	return split(/\|/, $node->safe_psql('postgres',
		"SELECT kind, database_bytes, stored_bytes FROM backup_list() WHERE backup_id = '$backup_id'"));
}

sub log_has
{
	my ($pattern, $what) = @_;
	return like(slurp_file($node->logfile), $pattern, $what);
}

#
# Interrupted when all files are stored. A file that was made within a second before it was read is
# stored again.
#
sleep(2);
my ($run, $worker) = hold_in_phase($node, waiting_call('SELECT backup_now()'), 'waiting for WAL');
my $interrupted = $node->safe_psql('postgres', 'SELECT backup_id FROM backup_progress()');
$node->safe_psql('postgres', 'SELECT backup_cancel(job_id) FROM backup_progress()');
wait_for_signal($worker, 2);
let_go($worker);
isnt((finish_sql($run))[0], 0, 'the backup is cancelled');
nothing_left_running($node, 'interrupted');
log_has(qr/backup \Q$interrupted\E was interrupted: \d+ bytes are kept for the next one/, 'what it stored is kept');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), '0', 'it is not listed');
ok((grep { m{^packs/\Q$interrupted\E/} } repository_files(repository($node))) > 0, 'its packs are there');

$node->safe_psql('postgres', 'UPDATE small SET t = t || t WHERE g % 100 = 0');
my $expected = cluster_dump($node);
my $next = take_backup($node);
my ($kind, $database_bytes, $stored_bytes) = figures($next);
is($kind, 'full', 'the next one is no incremental one: there is no backup yet');
cmp_ok($stored_bytes, '<', $database_bytes / 10, 'it stores what the interrupted one lacks');
prove_stage(restore_by_program($node, $next), $expected, 'after an interrupted one');

# Nobody needs it when the next is dropped.
my $last = take_backup($node, kind => 'full');
$node->safe_psql('postgres', "SELECT backup_drop('$next')");
is_deeply([ grep { m{/\Q$interrupted\E/} } repository_files(repository($node)) ], [],
	'and goes with the last one that refers to it');

#
# A page is changed behind the server's back so that it looks as old as ever.
#
my $path = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('small')});
sub forge_page
{
	$node->stop;
	open(my $file, '+<:raw', $node->data_dir . "/$path") or die "could not open: $!";
	seek($file, 8192, 0);
	read($file, my $lsn, 8) == 8 or die "could not read: $!";
	my ($high, $low) = unpack('LL', $lsn);
	seek($file, 8192, 0);
	print $file pack('LL', $high, $low - 8);
	close($file) or die "could not write: $!";
	$node->start;
	return;
}
forge_page();
my $deceived = take_backup($node);
is((figures($deceived))[0], 'incremental', 'an incremental backup believes the page');

set_and_reload($node, 'backup_ext.full_interval', '1s', '1s');
$expected = cluster_dump($node);
my ($output, $error) = ('', '');
$node->psql('postgres', 'SELECT backup_now()', stdout => \$output, stderr => \$error);
my $full = $output;
is((figures($full))[0], 'full', 'full_interval makes the next one full');
is($node->safe_psql('postgres', "SELECT full_because FROM backup_list() WHERE backup_id = '$full'"),
	'the last full backup is as old as full_interval allows', 'and it says so');
my $found = qr/backup \Q$deceived\E does not hold what the cluster held: 1 page differs: \Q$path\E block 1; /;
like($error, qr/WARNING:  $found/, 'the caller is told that the chain was wrong');
log_has(qr/WARNING:  $found/, 'so is the log');
is($node->safe_psql('postgres',
		"SELECT verify_result FROM backup_list() WHERE backup_id IN ('$deceived', '$full') ORDER BY 1 NULLS LAST"),
	"damaged\n", 'the deceived one is listed as damaged, the one that found it is not');
prove_stage(restore_by_program($node, $full), $expected, 'the full one that found it');

$node->psql('postgres', 'SELECT backup_now()', stdout => \$output, stderr => \$error);
is($error, '', 'control: a full one after a full one has nothing to say');

# One that is asked for compares, too.
set_and_reload($node, 'backup_ext.full_interval', '0', '0');
forge_page();
$deceived = take_backup($node);
is((figures($deceived))[0], 'incremental', 'an incremental backup believes the next page');
$node->psql('postgres', q{SELECT backup_now(kind => 'full')}, stdout => \$output, stderr => \$error);
like($error, qr/WARNING:  backup \Q$deceived\E does not hold what the cluster held: 1 page differs: \Q$path\E block 1; /,
	'a full backup that is asked for tells that the chain was wrong');
$node->stop;

done_testing();
