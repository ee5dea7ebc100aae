# A marked stage becomes the server at the next start of a service: by what doc/operations.md shows for
# systemd and for a container, taken from there as it stands.
use strict;
use warnings;
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node take_backup stage dump);
use FindBin;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $text = slurp_file("$FindBin::RealBin/../../doc/operations.md");
my ($arguments) = $text =~ m{^ExecStartPre=-/\S+/backup_ext (activate .*)$}m or die 'no ExecStartPre in the document';
my ($entry_point) = $text =~ m{^(\#!/bin/sh\nbackup_ext activate .*?)^```}ms or die 'no entry point in the document';

my $node = new_node('main', conf => { autovacuum => 'off' });
my $data = $node->data_dir;
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS i');
my $backup_id = take_backup($node);
my $then = dump($node);
$node->safe_psql('postgres', 'UPDATE t SET i = 2');
my $now = dump($node);

# What the image's own entry point does in the end: the server takes its place.
my $bin = PostgreSQL::Test::Utils::tempdir();
my $bindir = $node->config_data('--bindir');
sub program_file
{
	my ($name, $content) = @_;
	append_to_file("$bin/$name", $content);
	chmod(0755, "$bin/$name") or die;
	return "$bin/$name";
}
program_file('docker-entrypoint.sh', qq{#!/bin/sh\nexec "\$@"\n});
my $script = program_file('entry_point.sh', $entry_point);

sub with_server
{
	my ($what, $expected_dump, $expected_error) = @_;
	my ($output, $error) = ('', '');
	local $ENV{PATH} = "$bin:$bindir:$ENV{PATH}";
	local $ENV{PGDATA} = $data;
	my $server = IPC::Run::start([ $script, 'postgres', '-c', 'logging_collector=off' ],
		'<', \undef, '>', \$output, '2>', \$error);
	wait_for_recovery($node);
	same_dump(dump($node), $expected_dump, $what);
	# It is the process that a container is told to stop.
	$server->signal('INT');
	$server->finish;
	is($server->result(0), 0, "$what: it stops as a server does");
	like($output . $error, $expected_error, "$what: what it says");
	return;
}

sub mark
{
	my $stage = stage($node, $backup_id);
	runs('mark', 'activate', $stage->{directory}, '--pgdata', $data, '--at-next-start');
	return $stage;
}

#
# A container.
#
my $stage = mark();
$node->stop;
with_server('a container with a mark', $then, qr/is the data directory/);
with_server('a container without one', $then, qr/\A(?!.*is the data directory).*\z/s);
runs('undo', 'undo', '--pgdata', $data);
with_server('a container after undo', $now, qr/database system is ready/);

# What cannot be activated does not keep the server from starting.
$node->start;
$stage = mark();
$node->stop;
rename("$stage->{directory}/PG_VERSION", "$stage->{directory}/away") or die;
with_server('a container whose stage is broken', $now, qr/the marked stage was not activated/);
rename("$stage->{directory}/away", "$stage->{directory}/PG_VERSION") or die;
with_server('a mark is good for one try', $now, qr/database system is ready/);

#
# What can never be activated cannot be marked, dry or not; each answer is a document.
#
$node->start;
$stage = stage($node, $backup_id);
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
foreach my $case (
	[ 'a directory that is none', $other->basedir, 2, qr/has no PG_VERSION/ ],
	[ 'another cluster', $other->data_dir, 2, qr/is of another cluster/ ],
	[ 'a mount point', '/proc', 2, qr/./ ],
	[ 'another file system', '/dev/shm/none', 1, qr/another file system|does not exist/ ])
{
	my ($what, $place, $code, $detail) = @$case;
	foreach my $dry ([], ['--dry-run'])
	{
		my $document = program_json(undef, $code, 'activate', $stage->{directory}, '--pgdata', $place, '--at-next-start',
			@$dry);
		like($document->{error}{detail} // '', $detail, "$what cannot be marked");
	}
	ok(!-e "$place.backup_ext_next", "$what: there is no mark");
}

sub is_document
{
	my ($what, $expected, @arguments) = @_;
	my $document = program_json(undef, 0, @arguments);
	is(ref(delete $document->{notices} // []), 'ARRAY', "$what: notices");
	is_deeply($document, $expected, "$what: the document");
	return;
}

my %of_data = (data_directory => $data, dry_run => JSON::PP::false);
my %of_mark = (action => 'mark', stage_id => $stage->{stage_id}, stage_directory => $stage->{directory}, %of_data);
my %of_stage = (stage_id => $stage->{stage_id}, other_directory => $stage->{directory}, %of_data);
my @if_marked = ('activate', '--if-marked', '--pgdata', $data);
my @mark = ('activate', $stage->{directory}, '--pgdata', $data, '--at-next-start');
is_document('mark, dry', { %of_mark, dry_run => JSON::PP::true }, @mark, '--dry-run');
my %none = (action => 'none', %of_data, stage_id => undef, other_directory => undef);
is_document('not marked yet', \%none, @if_marked);
is_document('mark', \%of_mark, @mark);
is_document('unmark', { action => 'unmark', was_marked => JSON::PP::true, %of_data }, 'activate', '--unmark', '--pgdata', $data);
is_document('unmark again', { action => 'unmark', was_marked => JSON::PP::false, %of_data }, 'activate', '--unmark',
	'--pgdata', $data);
is_document('mark again', \%of_mark, @mark);
$node->stop;
is_document('what is marked, dry', { action => 'activate', %of_stage, dry_run => JSON::PP::true }, @if_marked, '--dry-run');
is_document('what is marked', { action => 'activate', %of_stage }, @if_marked);
is_document('nothing is marked', \%none, @if_marked);
is_document('undo, dry', { action => 'undo', %of_stage, dry_run => JSON::PP::true }, 'undo', '--pgdata', $data, '--dry-run');
is_document('undo', { action => 'undo', %of_stage }, 'undo', '--pgdata', $data);

# Who marks with --replace-other-cluster need not say it again at the start.
runs('mark for another cluster', 'activate', $stage->{directory}, '--pgdata', $other->data_dir, '--at-next-start',
	'--replace-other-cluster');
my $document = program_json(undef, 0, 'activate', '--if-marked', '--pgdata', $other->data_dir);
is($document->{action}, 'activate', 'it is activated in the place of another cluster');
runs('undo', 'undo', '--pgdata', $other->data_dir);

#
# systemd: the line is a command of words, with the instance in it. `%I` is the directory's own end.
#
$node->start;
$stage = mark();
$node->stop;
$arguments =~ s{/var/lib/postgresql/%I}{$data} or die 'no %I in the document';
runs('systemd: the command succeeds', split(/ /, $arguments));
start_activated($node);
same_dump(dump($node), $then, 'systemd: the marked stage is the server');
$node->stop;

done_testing();
