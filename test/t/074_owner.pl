# Whose repository it is: a copy started beside its origin never writes into the origin's repository; once
# it has been activated it goes on there, and what it replaced does not.
use strict;
use warnings;
use BackupExtFaults qw(is_error);
use BackupExtJudges;
use BackupExtTest qw(new_node repository repository_files take_backup stage start_stage stop_stage try_psql
  staged_psql dump);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => { autovacuum => 'off' });
my $data = $node->data_dir;
my $repository = repository($node);
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i');
my $first = take_backup($node);
my $second = take_backup($node);
my $then = dump($node);
my $stage = stage($node, $first);
my $place = $stage->{directory};

# The user knows better and takes away the guards that would have kept the extension out.
sub unguard
{
	my ($directory) = @_;
	append_to_file("$directory/postgresql.auto.conf",
		"shared_preload_libraries = 'backup_ext'\nbackup_ext.repository = '$repository'\n");
	return;
}

# Every file with its digest.
sub content_of
{
	my ($directory) = @_;
	return { map { $_ => BackupExtJudges::md5_of("$directory/$_") } grep { !m{/$} } BackupExtJudges::files_below($directory) };
}

sub is_refused
{
	my ($copy, $what, $message) = @_;
	my @before = repository_files($repository);
	my $content = content_of($repository);
	foreach my $call ('backup_now()', "backup_drop('$first')", 'backup_expire()', "backup_pin('$first')",
		"backup_unpin('$first')")
	{
		my ($output, $error) = try_psql($copy, 'postgres', "\\set VERBOSITY verbose\nSELECT $call");
		like($error, qr/ERROR:  55000: cannot write to repository "\Q$repository\E" from $message/, "$what: $call");
		like($error, qr/HINT:  .*backup_ext \w+/, "$what: $call: says what to do");
	}
	my ($output, $error) = try_psql($copy, 'postgres', "SELECT backup_stage_restore('$first')");
	like($error, qr/could not take the safety backup: cannot write to repository/, "$what: no safety backup");
	is(staged_psql($copy, 'postgres', 'SELECT count(*) FROM backup_list()'), '2', "$what: it may read");
	my ($rows, $warning) = try_psql($copy, 'postgres', "SELECT count(*) FROM backup_verify('$first')");
	like($warning, qr/could not remember the result of verifying backup \Q$first\E: cannot write to repository/,
		"$what: a verify is not remembered");
	is(staged_psql($copy, 'postgres',
			q{SELECT count(*) FROM backup_history() WHERE operation = 'backup' AND error LIKE 'cannot write to repository%'}),
		'1', "$what: its history is its own");
	is_deeply([ repository_files($repository) ], \@before, "$what: the repository has the same files");
	is_deeply(content_of($repository), $content, "$what: the repository is as it was, history and all");
	return;
}

unguard($place);
my $copy = start_stage($stage);
is_refused($copy, 'side by side', 'a staged copy');
# It can be moved, copied and started anywhere: it stays a copy.
stop_stage($copy);
my $elsewhere = PostgreSQL::Test::Utils::tempdir() . '/data';
system_or_bail('cp', '-a', $place, $elsewhere);
my $short = PostgreSQL::Test::Utils::tempdir_short();
my $log = "$PostgreSQL::Test::Utils::log_path/elsewhere.log";
system_or_bail('pg_ctl', '-D', $elsewhere, '-w', '-l', $log, '-o', "-k $short", 'start');
my @lines = split(/\n/, slurp_file("$elsewhere/postmaster.pid"));
is_refused({ port => $lines[3], host => $lines[4] }, 'moved', 'a staged copy');

# A repository of its own is its own affair.
my $own = PostgreSQL::Test::Utils::tempdir() . '/own';
my $moved = { port => $lines[3], host => $lines[4] };
staged_psql($moved, 'postgres', "ALTER SYSTEM SET backup_ext.repository = '$own'");
staged_psql($moved, 'postgres', 'SELECT pg_reload_conf()');
foreach (1 .. 600)
{
	last if staged_psql($moved, 'postgres', 'SHOW backup_ext.repository') eq $own;
	select(undef, undef, undef, 0.1);
}
like(staged_psql($moved, 'postgres', 'SELECT backup_now()'), qr/^\d{8}-/, 'a copy may have a repository of its own');
system_or_bail('pg_ctl', '-D', $elsewhere, '-w', '-m', 'fast', 'stop');

# The origin goes on, and neither notices the other.
take_backup($node);
$node->safe_psql('postgres', "SELECT backup_drop('$first')");
my $fresh = stage($node, $second);

#
# Activated, the new server goes on in the same repository: same system identifier, new timeline.
#
$node->stop;
system_or_bail('backup_ext', 'activate', $fresh->{directory}, '--pgdata', $data);
$node->start;
$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die;
same_dump(dump($node), $then, 'the stage is the server');
my $backups = $node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()');
my $full = take_backup($node);
is($node->safe_psql('postgres', "SELECT kind || ' ' || timeline FROM backup_list() WHERE backup_id = '$full'"),
	'full 2', 'its first backup is a full one, on the new timeline');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (7)');
my $incremental = take_backup($node);
is($node->safe_psql('postgres', "SELECT kind FROM backup_list() WHERE backup_id = '$incremental'"),
	'incremental', 'and then it goes on as always');
is($node->safe_psql('postgres', 'SELECT count(*) FROM backup_list()'), $backups + 2, 'beside the earlier ones');
my $after = dump($node);
my $again = stage($node, $incremental);
$copy = start_stage($again);
same_dump(dump($copy), $after, 'what it backed up is equal by dump');
stop_stage($copy);

# What it replaced: the old server, started by hand to look something up.
my $old = $fresh->{directory};
$node->stop;
my $socket = PostgreSQL::Test::Utils::tempdir_short();
system_or_bail('pg_ctl', '-D', $old, '-w', '-l', $log, '-o', "-k $socket", 'start');
@lines = split(/\n/, slurp_file("$old/postmaster.pid"));
my ($output, $error) = try_psql({ port => $lines[3], host => $socket }, 'postgres',
	"\\set VERBOSITY verbose\nSELECT backup_now()");
like($error, qr/55000: cannot write to repository "\Q$repository\E" from a data directory that was replaced/,
	'the server that was replaced writes no more');
system_or_bail('pg_ctl', '-D', $old, '-w', '-m', 'fast', 'stop');

# Put back, it is the owner again.
system_or_bail('backup_ext', 'undo', '--pgdata', $data);
$node->start;
take_backup($node);
$node->stop;

done_testing();
