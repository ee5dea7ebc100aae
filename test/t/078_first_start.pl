# The end of an activated stage's first start, where the server does not come to its
# recovery_end_command: the origin's postgresql.auto.conf is in force all the same. And a server that
# cannot be seen, in another container.
use strict;
use warnings;
use BackupExtFaults qw(hold_child kill_server wait_until);
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node take_backup stage dump);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => { autovacuum => 'off' });
my $data = $node->data_dir;
my $base = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i FROM generate_series(1, 5000) i');
$node->safe_psql('postgres', q{ALTER SYSTEM SET work_mem = '7MB'});
my $auto_conf = slurp_file("$data/postgresql.auto.conf");
my $backup_id = take_backup($node);
my $then = dump($node);
$node->safe_psql('postgres', 'DROP TABLE t');
my $now = dump($node);

# A stage that was never started is the data directory, and no server runs.
sub activate_fresh
{
	my $stage = stage($node, $backup_id);
	$node->stop;
	runs('activate', 'activate', $stage->{directory}, '--pgdata', $data);
	return $stage;
}

# The server is killed in the checkpoint at the end of its recovery.
sub crash_at_the_end_of_recovery
{
	my $hold = "$base/hold";
	append_to_file($hold, '');
	system_or_bail('pg_ctl', '-D', $data, '-l', $node->logfile, '-W', '-o',
		"-c restore_command='while [ -e $hold ]; do sleep 0.1; done; false'", 'start');
	hold_child($data, 'checkpointer');
	unlink($hold) or die;
	wait_until(sub { !-e "$data/recovery.signal" }, 'the recovery is at its end');
	kill_server($data);
	like(slurp_file("$data/postgresql.auto.conf"), qr/^restore_command = 'false'$/m,
		'after the crash the settings of the recovery are in force');
	return;
}

sub is_whole
{
	my ($what) = @_;
	wait_until(sub { slurp_file("$data/postgresql.auto.conf") eq $auto_conf },
		"$what: the origin's postgresql.auto.conf is in place");
	unlike($node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())'), qr/^00000001/,
		"$what: not on the timeline of the origin");
	same_dump(dump($node), $then, "$what: the server has what was backed up");
	$node->restart;
	is($node->safe_psql('postgres', "SELECT string_agg(setting, '|' ORDER BY name) FROM pg_settings"
			  . " WHERE name IN ('hot_standby', 'recovery_end_command', 'restore_command', 'work_mem')"),
		'on|||7168', "$what: after a restart all settings are the origin's");
	return;
}

sub undo
{
	$node->stop;
	runs('undo', 'undo', '--pgdata', $data);
	start_activated($node);
	same_dump(dump($node), $now, 'after undo the server is what it was');
	return;
}

#
# Killed: the next start mends it, by itself and by what stands before it.
#
activate_fresh();
crash_at_the_end_of_recovery();
my $from = -s $node->logfile;
start_activated($node);
is_whole('killed, started again');
like(substr(slurp_file($node->logfile), $from), qr/LOG: +backup_ext: the first recovery of this activated stage.* is done again/,
	'the server says so');
undo();

my $other = stage($node, $backup_id);
activate_fresh();
crash_at_the_end_of_recovery();
# Looking at it says so and changes nothing.
my $interrupted = qr/The first start in "\Q$data\E" was interrupted before the end of its recovery; it will be made ready/;
foreach my $look ([ 'activate', $other->{directory} ], ['undo'], [ 'activate', '--if-marked' ])
{
	my $looked = program_json(undef, 0, @$look, '--pgdata', $data, '--dry-run');
	like($looked->{notices}[0], $interrupted, "@$look --dry-run tells of the first start");
	ok(!-e "$data/recovery.signal", 'and has left it as it is');
}
like(runs('dry', 'activate', $other->{directory}, '--pgdata', $data, '--dry-run'), qr/^Note: $interrupted/m, 'in words, too');
my $document = program_json(undef, 0, 'activate', '--if-marked', '--pgdata', $data);
is($document->{action}, 'none', 'nothing is marked');
like($document->{notices}[0], qr/the next start does it again/, 'the program says what it has done');
ok(-e "$data/recovery.signal", 'and has done it');
start_activated($node);
is_whole('killed, mended by the program');
undo();

# Undone at once, it is a stage that was never started.
my $stage = activate_fresh();
crash_at_the_end_of_recovery();
undo();
ok(-e "$stage->{directory}/recovery.signal", 'undone, the stage has its recovery before it');
$node->stop;
runs('activate again', 'activate', $stage->{directory}, '--pgdata', $data);
start_activated($node);
is_whole('killed, undone, activated again');
undo();

#
# The command fails.
#
activate_fresh();
system_or_bail('pg_ctl', '-D', $data, '-l', $node->logfile, '-w', '-o', '-c recovery_end_command=false', 'start');
wait_for_recovery($node);
wait_until(sub { slurp_file("$data/postgresql.auto.conf") eq $auto_conf }, 'the launcher puts the file in place');
like(slurp_file($node->logfile), qr/WARNING: +backup_ext: the origin's postgresql.auto.conf is in place now/,
	'and warns of it');
system_or_bail('pg_ctl', '-D', $data, '-w', 'stop');
start_activated($node);
is_whole('the command failed');
undo();

# Nor is the library loaded; what is changed meanwhile is kept.
$stage = activate_fresh();
system_or_bail('pg_ctl', '-D', $data, '-l', $node->logfile, '-w', '-o',
	q{-c recovery_end_command=false -c shared_preload_libraries=''}, 'start');
wait_for_recovery($node);
$node->safe_psql('postgres', q{ALTER SYSTEM SET work_mem = '8MB'});
system_or_bail('pg_ctl', '-D', $data, '-w', 'stop');
like(runs('undo', 'undo', '--pgdata', $data), qr/is in place now/, 'undo puts the file in place first');
runs('activate again', 'activate', $stage->{directory}, '--pgdata', $data);
start_activated($node);
is($node->safe_psql('postgres', 'SHOW work_mem'), '8MB', 'what ALTER SYSTEM changed is kept');
is($node->safe_psql('postgres', 'SHOW restore_command'), '', "the recovery's settings are not");
undo();

#
# A server whose processes cannot be seen.
#
SKIP:
{
	my @apart = qw(unshare --user --map-current-user --pid --fork --mount-proc);
	skip 'processes cannot be kept apart here', 1 if system("@apart true 2>/dev/null") != 0;
	$stage = stage($node, $backup_id);
	my @command = (@apart, 'backup_ext', 'activate', $stage->{directory}, '--pgdata', $data, '--dry-run');
	my ($output, $error) = run_command(\@command);
	is($output, '', 'another container: refused while the server runs');
	like($error, qr/a server is running in "\Q$data\E".*cannot be seen from here.*hint: /s, 'and says why');
	kill_server($data);
	$node->kill9;
	ok(-e "$data/postmaster.pid", 'killed, it leaves its file');
	succeeds('another container: after a crash it can be activated', @command);
}

done_testing();
