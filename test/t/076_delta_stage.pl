# A backup is staged onto a directory that holds an earlier stage: one that was used, one that is
# right already, one that was interrupted. What is right is not written again, and the result is as
# of a fresh stage. What is no stage to be written over is refused.
use strict;
use warnings;
use BackupExtCompare;
use BackupExtFaults qw(refuses_with hold_in_phase let_go finish_sql wait_until);
use BackupExtProgram;
use BackupExtTest qw(new_node take_backup stage start_stage stop_stage staged_psql repository);
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => {
	shared_preload_libraries => 'backup_ext, backup_ext_border',
	'backup_ext.workers' => 2
});
my $place = $node->basedir . '/fast';
mkdir($place) or die "could not make $place: $!";
$node->safe_psql('postgres', "CREATE TABLESPACE fast LOCATION '$place'");
$node->safe_psql('postgres', q{
	CREATE TABLE untouched AS SELECT g AS k, md5(g::text) AS t FROM generate_series(1, 30000) g;
	CREATE TABLE changed AS SELECT g AS k, md5(g::text) AS t FROM generate_series(1, 30000) g;
	CREATE TABLE cut AS SELECT g AS k FROM generate_series(1, 30000) g;
	CREATE TABLE dropped AS SELECT g AS k FROM generate_series(1, 3000) g;
	CREATE TABLE apart TABLESPACE fast AS SELECT g AS k FROM generate_series(1, 30000) g;});
# Else the first who reads it in a stage sets hint bits.
$node->safe_psql('postgres', 'VACUUM (FREEZE) untouched');
my $untouched = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('untouched')});
my $changed = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('changed')});
my $apart = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('apart')});
my $first = take_backup($node);
my $first_dump = cluster_dump($node);
$node->safe_psql('postgres', q{
	UPDATE changed SET t = 'new' WHERE k % 1000 = 0;
	CREATE TABLE later AS SELECT g AS k FROM generate_series(1, 5000) g;});
my $second = take_backup($node);
my $second_dump = cluster_dump($node);

# Inode, mtime and size of each file that holds rows.
sub identities
{
	my ($stage) = @_;
	my %identity;
	find({ no_chdir => 1, follow => 0, wanted => sub {
				my @status = lstat($_) or return;
				return if m{/backup_ext_stage/};
				$identity{$_} = "$status[1]:$status[9]:$status[7]" if -f _;
			} }, map { "$stage->{directory}$_" } '/base', '/global', '/pg_xact', '.tablespaces');
	return \%identity;
}

sub age
{
	my ($stage) = @_;
	utime(1_000_000_000, 1_000_000_000, keys %{ identities($stage) });
	return;
}

sub start_and_compare
{
	my ($stage, $expected, $what) = @_;
	command_ok([ 'pg_verifybackup', $stage->{directory} ], "$what: pg_verifybackup accepts it");
	my $copy = start_stage($stage);
	is(without_sequences(cluster_dump($copy)), without_sequences($expected), "$what: equal by dump");
	return $copy;
}

# The same backup onto what is right: nothing that holds rows is written.
my $stage = stage($node, $first, directory => 'again');
age($stage);
my $before = identities($stage);
my $next = stage($node, $first, directory => 'again');
isnt($next->{stage_id}, $stage->{stage_id}, 'it is another stage');
my $after = identities($next);
delete $_->{"$stage->{directory}/global/pg_control"} foreach $before, $after;
is_deeply($after, $before, 'the same backup again: no file is written');
is($node->safe_psql('postgres', q{SELECT string_agg(stage_id || ' ' || state, ',') FROM backup_staged()}),
	"$next->{stage_id} ready", 'the stage that was there before is no longer listed');

# Used, and then staged anew.
my $copy = start_and_compare($next, $first_dump, 'the same backup again');
staged_psql($copy, 'postgres', q{
	UPDATE changed SET t = 'wrong' WHERE k % 777 = 0;
	TRUNCATE cut;
	DROP TABLE dropped;
	CREATE TABLE stray AS SELECT generate_series(1, 20000);
	CREATE TABLE stray_apart TABLESPACE fast AS SELECT generate_series(1, 20000);
	DELETE FROM apart WHERE k < 100;
	CHECKPOINT});
staged_psql($copy, 'postgres', 'CREATE DATABASE stray');

refuses_with($node, "SELECT backup_stage_restore(directory => 'again', safety_backup => false)",
	{ state => '55000', message => qr/^cannot restore into ".*again": a server is running in /,
		detail => qr/^Its process is/, hint => qr/^Stop it first/ }, what => 'a stage that runs');
stop_stage($copy);
age($next);
$before = identities($next);
my $third = stage($node, $first, directory => 'again');
$after = identities($third);
is($after->{"$third->{directory}/$untouched"}, $before->{"$third->{directory}/$untouched"},
	'a file that nobody changed is not written');
my $inode = sub { (split(/:/, $_[0]{"$third->{directory}/$changed"}))[0] };
is($inode->($after), $inode->($before), 'one that was changed keeps its inode');
$copy = start_and_compare($third, $first_dump, 'a stage that was used');
staged_psql($copy, 'postgres', q{DELETE FROM changed; DELETE FROM apart; CHECKPOINT});
stop_stage($copy);

# A newer backup, by the program, onto the stage that the server made.
age($third);
$before = identities($third);
my $by_program = restore_by_program($node, $second, $third->{directory});
is(identities($by_program)->{"$third->{directory}/$untouched"},
	$before->{"$third->{directory}/$untouched"}, 'by the program: a file that is right is not written');
is($node->safe_psql('postgres', 'SELECT state FROM backup_staged()'),
	'missing', 'the stage whose place it took is missing');
prove_stage($by_program, $second_dump, 'a newer backup by the program');
$node->safe_psql('postgres', 'SELECT backup_discard_stage(stage_id) FROM backup_staged()');
ok(-e "$third->{directory}/global/pg_control", 'to discard that one leaves what the program made');
$stage = stage($node, $second, directory => 'again');
prove_stage($stage, $second_dump, 'a newer backup by the server');

# The worker is killed while it writes: the stage is not finished, and continued by the same call.
sub kill_while_writing
{
	my ($what) = @_;
	my ($run, $worker) = hold_in_phase($node,
		"SELECT backup_stage_restore(directory => 'again', safety_backup => false);", 'writing files', 20);
	ok(!-e "$stage->{directory}/global/pg_control", "$what: no server can start on it");
	kill('KILL', $worker);
	finish_sql($run);
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	wait_until(sub {
			$node->safe_psql('postgres',
				q{SELECT count(*) FILTER (WHERE state = 'failed') FROM backup_staged()}) == 1
		}, 'the stage is known to have failed');
	my ($hint) = $node->safe_psql('postgres', q{SELECT hint FROM backup_staged() WHERE state = 'failed'});
	like($hint, qr/^Continue it with SELECT backup_stage_restore\('\Q$second\E', directory => 'again'\), or remove it with SELECT backup_discard_stage\('stage-[^']+'\)\.$/,
		"$what: the row tells what to do");
	(my $call) = $hint =~ /(SELECT backup_stage_restore\(.*?\)), or/;
	$call =~ s/\)$/, safety_backup => false)/;
	my $stage_id = $node->safe_psql('postgres', $call);
	my $row = $node->safe_psql('postgres', 'SELECT stage_id, state, start_command FROM backup_staged()');
	my ($listed, $state, $start_command) = split(/\|/, $row);
	is("$listed $state", "$stage_id ready", "$what: it is continued and ready, and alone in the list");
	$stage = { stage_id => $stage_id, directory => $stage->{directory}, start_command => $start_command };
	prove_stage($stage, $second_dump, $what);
	return;
}
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
kill_while_writing('an earlier stage, kill -9');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$stage->{stage_id}')");
kill_while_writing('a fresh one, kill -9');

# A cancel leaves it as one that can be continued.
my ($run, $worker) = hold_in_phase($node,
	"SELECT backup_stage_restore(directory => 'again', safety_backup => false);", 'writing files', 20);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($worker)");
let_go($worker);
my ($status, $output, $error) = finish_sql($run);
isnt($status, 0, 'a cancelled one fails');
like($error, qr/HINT:  .*restore into ".*again" again to continue it/, 'and the hint tells what to do');
is($node->safe_psql('postgres', 'SELECT state FROM backup_staged()'), 'failed', 'it is listed as failed');
$stage = stage($node, $second, directory => 'again');
prove_stage($stage, $second_dump, 'a cancelled one, continued');

# What is refused, and is as before.
my $foreign = $node->basedir . '/foreign';
mkdir($foreign) or die "could not make $foreign: $!";
append_to_file("$foreign/file", "somebody's\n");
refuses_with($node, "SELECT backup_stage_restore(directory => '$foreign', safety_backup => false)",
	{ state => '58P02', message => "directory \"$foreign\" is not empty", detail => qr/It holds "file"/,
		hint => qr/empty or does not exist/ }, what => 'a foreign directory');
my $data = $node->data_dir;
refuses_with($node, "SELECT backup_stage_restore(directory => '$data', safety_backup => false)",
	{ state => '22023', message => "cannot restore into directory \"$data\"", detail => qr/which is in use/,
		hint => qr/^Choose a directory/ }, what => 'the live data directory');
my ($code, $out, $message) = program(repository($node), 'restore', 'latest', $data);
isnt($code, 0, 'the live data directory, by the program');
like($message, qr/is not empty/, 'and the message says why');
is($node->safe_psql('postgres', 'SELECT count(*) FROM untouched'), '30000', 'the server works on');

my $other = new_node('other');
take_backup($other);
($code, $out, $message) = program(repository($other), 'restore', 'latest', $stage->{directory});
isnt($code, 0, q{another cluster's stage});
like($message, qr/It is a stage of another repository/, 'and the message says why');
ok(-e "$stage->{directory}/global/pg_control", 'it is as it was');
$other->stop;
$node->stop;

done_testing();
