# backup_export(): the same export from SQL, as a job that is seen, can be cancelled and leaves nothing.
use strict;
use warnings;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtFaults qw(state_of is_unchanged hold_in_phase refuses_with ways_to_cancel waiting_call cancel let_go finish_sql stop_server);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository take_backup stop_stage dump nothing_left_running);

my $base = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	'backup_ext.workers' => 2
});
my $data = $node->data_dir;
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i');
my $backup_id = take_backup($node);
my $dump = dump($node);

is($node->safe_psql('postgres', "SELECT backup_export('latest', '$base/plain')"), '', 'a plain export');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/plain");
has_no_trace_of_us("$base/plain", slurp_file("$data/postgresql.auto.conf"), 'plain');
my $copy = start_export("$base/plain");
same_dump(dump($copy), $dump, 'equal by dump');
stop_stage($copy);

# One name: below the staging directory, for anybody who may call it.
$node->safe_psql('postgres', "CREATE ROLE operator LOGIN; GRANT EXECUTE ON FUNCTION backup_export TO operator");
$node->safe_psql('postgres', "SELECT backup_export('$backup_id', 'by_name', format => 'tar')", extra_params => [ '-U', 'operator' ]);
is_deeply([ sort grep { !/^\.\.?$/ } slurp_dir("$data.staged/by_name") ], [qw(backup_manifest base.tar pg_wal.tar)],
	'one name is a directory below the staging directory');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_staged()'), '0', 'an export is no stage');
nothing_left_running($node);

my $path_hint = qr/^Give one name/;
refuses_with($node, "SELECT backup_export('latest', '$base/x')",
	{ state => '42501', message => qr/^permission denied to export into directory/, detail => qr/superuser/, hint => $path_hint },
	user => 'operator', what => 'a path by who is no superuser');
refuses_with($node, "SELECT backup_export('latest', 'a/b')",
	{ state => '22023', message => qr/neither an absolute path nor a single name/, hint => qr/./ });
refuses_with($node, "SELECT backup_export('latest', '$base/plain')",
	{ state => '58P02', message => qr/is not empty/, detail => qr/./, hint => qr/./ });
refuses_with($node, "SELECT backup_export('latest', '$data/x')",
	{ state => '22023', message => qr/^cannot restore into directory/, detail => qr/./, hint => qr/./ });
refuses_with($node, "SELECT backup_export('latest', '" . repository($node) . "/x')",
	{ state => '22023', message => qr/^cannot restore into directory/, detail => qr/./, hint => qr/./ });
refuses_with($node, "SELECT backup_export('20000101-000000-00000000', '$base/x')",
	{ state => '42704', message => qr/20000101-000000-00000000/, hint => qr/./ });

# Tablespaces: tablespace_map names the server's own directories, and that is said.
mkdir("$base/location") or die;
$node->safe_psql('postgres', "CREATE TABLESPACE apart LOCATION '$base/location'");
$node->safe_psql('postgres', 'CREATE TABLE in_apart TABLESPACE apart AS SELECT 1 AS i');
take_backup($node);
my ($output, $warning) = ('', '');
is($node->psql('postgres', "SELECT backup_export('latest', '$base/with_tablespace', 'tar')", stdout => \$output, stderr => \$warning),
	0, 'with a tablespace');
like($warning, qr/WARNING:  tablespace_map in base\.tar names the directories of this server's 1 tablespaces/, 'a warning');

# Ended by every means while it writes: nothing is left, and all is as before.
my $before = state_of($node);
foreach my $format (qw(plain tar))
{
	my $call = "SELECT backup_export('latest', '$base/cancelled', '$format')";
	foreach my $way (ways_to_cancel())
	{
		my $what = "$format, $way->{name}";
		my ($run, $worker) = hold_in_phase($node, waiting_call($call, $way), 'writing files', 20, removal('cancelled'));
		cancel($node, $way, $run, $worker, $what);
		is_unchanged($node, $before, $what);
		ok(!-e "$base/cancelled" && !-e "$base/cancelled.tablespaces", "$what: nothing is left");
	}
}
my ($run, $worker) = hold_in_phase($node, "SELECT backup_export('latest', '$base/seen')", 'writing files', 20, removal('seen'));
like($node->safe_psql('postgres', 'SELECT operation, bytes_total > 0, files_total > 0 FROM backup_progress()'),
	qr/^export\|t\|t$/, 'backup_progress() shows an export');
let_go($worker);
my ($status) = finish_sql($run);
is($status, 0, 'it ends well');

# No time to clean up: what is left is no data directory, and no whole set of tar files.
foreach my $format (qw(plain tar))
{
	($run, $worker) = hold_in_phase($node, "SELECT backup_export('latest', '$base/killed_$format', '$format')", 'writing files', 20,
		removal("killed_$format"));
	stop_server($node, 'immediate', $run, $worker, "$format, immediate shutdown");
	ok(!-e "$base/killed_$format/global/pg_control", "$format, immediate shutdown: no server can be started on it");
	ok($format eq 'plain' || !-e "$base/killed_$format/backup_manifest", "$format, immediate shutdown: it does not look whole");
}
$node->stop;

done_testing();

# Takes an export away that came to its end.
sub removal
{
	my ($name) = @_;
	return sub { rmtree([ "$base/$name", "$base/$name.tablespaces" ]) };
}
