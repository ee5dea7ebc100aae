# The program backup_ext on a machine without any server: everything that it can do with a repository
# alone, as text and as JSON; its exit codes; completion and manual page.
use strict;
use warnings;
use File::Path qw(rmtree);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository take_backup start_stage stop_stage dump repository_files);

my $node = new_node('main');
my $repository = repository($node);
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS text FROM generate_series(1, 5000) i');
my $older = take_backup($node, label => "tab\tand \xC3\xA9");
$node->safe_psql('postgres', 'INSERT INTO t SELECT i FROM generate_series(1, 100) i');
sleep(2);    # apart by more than the retention of below
my $newer = take_backup($node);
my $dump = dump($node);
my @columns = qw(backup_id kind trigger state database_bytes stored_bytes start_lsn stop_lsn timeline server_version);
my $listed = $node->safe_psql('postgres', 'SELECT ' . join(', ', @columns) . ' FROM backup_list()');
my $system_identifier = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');

# The day on which the server is gone.
$node->stop;
rmtree($node->data_dir);
my $base = PostgreSQL::Test::Utils::tempdir();

#
# list and show
#
my $list = program_json($repository, 0, 'list');
is(join("\n", map { my $backup = $_; join('|', map { $backup->{$_} } @columns) } @{ $list->{backups} }),
	$listed, 'list: what backup_list() said');
is($list->{repository}, $repository, 'list: the repository');
is($list->{backups}[1]{label}, "tab\tand \x{e9}", 'list: the label as it was given');
is($list->{backups}[0]{label}, undef, 'list: no label is null');
is($list->{backups}[0]{verify_result}, undef, 'list: never verified is null');
my ($code, $output, $error) = program($repository, 'list');
is($code, 0, 'list: exit code');
like($output, qr/^\Q$newer\E .*\n^\Q$older\E .*tab\?and \xC3\xA9$/m, 'list: newest first, no control character');

my $shown = program_json($repository, 0, 'show', $newer);
is($shown->{$_}, $list->{backups}[0]{$_}, "show: $_ as in the list") foreach @columns;
is($shown->{system_identifier}, $system_identifier, 'show: whose it is, as text');
is($shown->{parent_id}, $older, 'show: its parent');
is($shown->{settings}{shared_preload_libraries}, 'backup_ext', 'show: settings');
is($shown->{wal_ranges}[0]{start_lsn}, $shown->{start_lsn}, 'show: WAL');
is(program_json($repository, 0, 'show', 'latest')->{backup_id}, $newer, 'show latest');
($code, $output) = program($repository, 'show', $older);
like($output, qr/^backup_id: +\Q$older\E$/m, 'show: for people');
like($output, qr/^database_bytes: +\d+ \(\d+ MB\)$/m, 'show: sizes for people');

#
# restore
#
my $restored = program_json($repository, 0, 'restore', 'latest', "$base/restored", '--bindir',
	$node->config_data('--bindir'), '--port', 7777);
is($restored->{backup_id}, $newer, 'restore: latest');
is($restored->{directory}, "$base/restored", 'restore: where');
verify_stage($restored);
my $copy = start_stage($restored);
is($copy->{port}, 7777, 'restore: the port');
is($copy->{host}, $restored->{socket_directory}, 'restore: the socket');
same_dump(dump($copy), $dump, 'restore: equal by dump');
stop_stage($copy);

ends_at_a_signal('restore', { INT => 'fsync:when=20', TERM => 'mkdirat:when=10' }, "$base/canceled",
	'--repository', $repository, 'restore', 'latest', "$base/canceled");

#
# verify: remembered in the repository; damage is exit code 3
#
my $verified = program_json($repository, 0, 'verify', 'latest');
is($verified->{verify_result}, 'ok', 'verify: sound');
is($verified->{remembered}, JSON::PP::true, 'verify: remembered');
cmp_ok($verified->{checked_bytes}, '>', 20_000_000, 'verify: everything was read');
is(program_json($repository, 0, 'list')->{backups}[0]{verify_result}, 'ok', 'list: says so');
($code, $output) = program($repository, 'verify', $older);
is($code, 0, 'verify as text: exit code');
like($output, qr/^Backup \Q$older\E is sound: /, 'verify as text');

my ($pack) = sort { -s "$repository/$b" <=> -s "$repository/$a" }
  grep { m{^packs/} } repository_files($repository);
my $kept = slurp_file("$repository/$pack");
my $damaged = $kept;
substr($damaged, length($damaged) / 2, 1) ^= "\x10";
sub write_pack
{
	my ($content) = @_;
	chmod(0600, "$repository/$pack");
	open(my $file, '+<:raw', "$repository/$pack") or die "could not open $pack: $!";
	print $file $content;
	close($file) or die;
}
write_pack($damaged);
my $found = program_json($repository, 3, 'verify', $older);
is($found->{verify_result}, 'damaged', 'verify: damaged');
cmp_ok(scalar(@{ $found->{problems} }), '>', 0, 'verify: names a file');
like($found->{problems}[0]{problem}, qr/\Q$pack\E/, 'verify: and the pack');
($code, $output, $error) = program($repository, 'verify', $older);
is($code, 3, 'verify of a damaged one as text: exit code');
like($output, qr/\Q$pack\E/, 'verify of a damaged one as text: the place');
like($error, qr/^backup_ext: error: backup \Q$older\E is damaged: \d+ files?$/m, 'verify of a damaged one as text: the verdict');
my %by_id = map { $_->{backup_id} => $_ } @{ program_json($repository, 0, 'list')->{backups} };
is($by_id{$older}{verify_result}, 'damaged', 'list: remembers it');
foreach my $command ([ 'restore', $older, "$base/never" ], [ 'export', $older, "$base/never" ],
	[ 'export', $older, "$base/never", '--format', 'tar' ])
{
	my $refused = program_json($repository, 3, @$command);
	is($refused->{error}{sqlstate}, 'XX001', "$command->[0] of a damaged one: SQLSTATE");
	like($refused->{error}{message}, qr/^backup \Q$older\E is damaged: /, "$command->[0] of a damaged one: message");
	ok(!-e "$base/never", "$command->[0] of a damaged one: nothing is left");
}
write_pack($kept);
is(program_json($repository, 0, 'verify', $older)->{verify_result}, 'ok', 'verify: mended');

#
# A repository that cannot be written can be read, and verified.
#
SKIP:
{
	skip 'root may write everywhere', 4 if $> == 0;
	system_or_bail('chmod', '-R', 'a-w', $repository);
	my $forgotten = program_json($repository, 0, 'verify', $newer);
	is($forgotten->{remembered}, JSON::PP::false, 'verify of a read-only repository: not remembered');
	like($forgotten->{warning}, qr/^could not remember the result/, 'verify of a read-only repository: says so');
	system_or_bail('chmod', '-R', 'u+w', $repository);
}

#
# expire
#
my @before = repository_files($repository);
my $plan = program_json($repository, 0, 'expire', '--retention', '1 second', '--dry-run');
is_deeply([ map { "$_->{backup_id} $_->{action}" } @{ $plan->{backups} } ],
	[ "$newer keep", "$older remove" ], 'expire --dry-run: the plan');
is($plan->{dry_run}, JSON::PP::true, 'expire --dry-run: says so');
is_deeply([ repository_files($repository) ], \@before, 'expire --dry-run: changes nothing');
is_deeply([ map { $_->{action} } @{ program_json($repository, 0, 'expire', '--retention', '1 second',
			'--keep', '2')->{backups} } ], [ 'keep', 'keep' ], 'expire --keep 2 keeps both');
my $expired = program_json($repository, 0, 'expire', '--retention', '1 second');
is_deeply([ map { "$_->{backup_id} $_->{action}" } @{ $expired->{backups} } ],
	[ "$newer keep", "$older remove" ], 'expire: as planned');
is(join(' ', map { $_->{backup_id} } @{ program_json($repository, 0, 'list')->{backups} }), $newer,
	'expire: the older one is gone');
is(program_json($repository, 0, 'verify', $newer)->{verify_result}, 'ok', 'expire: the other is whole');

#
# Exit codes, each with its error as text and as JSON
#
my $locked = "$repository/locks/writer.lock";
my @locker = ('perl', '-e', 'use Fcntl; open(my $f, "+<", $ARGV[0]) or die; '
	  . 'my $l = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0); fcntl($f, 37, $l) or die $!; '
	  . '$| = 1; print "locked\n"; <STDIN>;', $locked);
my ($locker_input, $locker_output) = ('', '');
my $locker = IPC::Run::start(\@locker, '<', \$locker_input, '>', \$locker_output);
IPC::Run::pump($locker) until $locker_output =~ /locked/;
mkdir("$base/empty") or die;
chmod(0700, "$base/empty");
mkdir("$base/full") or die;
append_to_file("$base/full/file", 'x');
my @cases = (
	[ 1, 'no such backup', $repository, [ 'show', '20000101-000000-00000000' ], '42704', qr/does not exist|no backup/i ],
	[ 1, 'directory that is not empty', $repository, [ 'restore', 'latest', "$base/full" ], '58P02', qr/is not empty/ ],
	[ 2, 'no command', $repository, [], '22023', qr/subcommand is required/ ],
	[ 2, 'no such command', $repository, ['destroy'], '22023', qr/./ ],
	[ 2, 'no such option', $repository, [ 'list', '--all' ], '22023', qr/--all/ ],
	[ 2, 'missing argument', $repository, ['show'], '22023', qr/backup is required/ ],
	[ 2, 'no repository named', undef, ['list'], '22023', qr/no repository was named/ ],
	[ 2, 'no backup id', $repository, [ 'restore', 'yesterday', "$base/x" ], '22023', qr/"yesterday"/ ],
	[ 2, 'number out of range', $repository, [ 'restore', 'latest', "$base/x", '--port', '0' ], '22023', qr/--port/ ],
	[ 2, 'a length that is none', $repository, [ 'expire', '--retention', '3 dyas' ], '22023', qr/3 dyas/ ],
	[ 2, 'expire without a retention', $repository, ['expire'], '22023', qr/--retention is required/ ],
	[ 2, 'a format that is none', $repository, [ 'export', 'latest', "$base/x", '--format', 'zip' ], '22023', qr/"zip"/ ],
	[ 2, 'plain to standard output', $repository, [ 'export', 'latest', '-' ], '22023', qr/only the tar format/ ],
	[ 2, 'no such shell', $repository, [ 'completion', 'csh' ], '22023', qr/csh/ ],
	[ 10, 'no repository there', "$base/nowhere", ['list'], '58P01', qr/nowhere/ ],
	[ 10, 'an empty directory', "$base/empty", ['list'], '58P01', qr/holds no repository/ ],
	[ 11, 'locked', $repository, [ 'expire', '--retention', '1 day' ], '55P03', qr/./ ]);
foreach my $case (@cases)
{
	my ($expected, $what, $where, $arguments, $sqlstate, $message) = @$case;
	local $ENV{BACKUP_EXT_REPOSITORY};
	delete $ENV{BACKUP_EXT_REPOSITORY};
	($code, $output, $error) = program($where, @$arguments);
	is($code, $expected, "$what: exit code $expected");
	is($output, '', "$what: nothing on standard output");
	like($error, qr/^backup_ext: error: .*$message/, "$what: message");
	my $document = program_json($where, $expected, @$arguments);
	is($document->{error}{sqlstate}, $sqlstate, "$what: SQLSTATE");
	is($document->{error}{exit_code}, $expected, "$what: exit code in the document");
	like($document->{error}{message}, $message, "$what: message in the document");
}
$locker_input = "\n";
IPC::Run::finish($locker);
ok(!-e "$base/x", 'nothing was written');
{
	local $ENV{BACKUP_EXT_REPOSITORY} = $repository;
	is(program_json(undef, 0, 'list')->{repository}, $repository, 'the repository from the environment');
}
($code, $output, $error) = program($repository, 'restore', 'latest', "$base/as_text");
is($code, 0, 'restore as text');
like($output, qr/^Restored backup \Q$newer\E into/, 'restore as text: what was done');

# A record that cannot be read hides no other, and is a finding of a verify.
my $record = "$repository/backups/$newer/record.json";
chmod(0600, $record);
append_to_file($record, 'x');
my $unreadable = program_json($repository, 0, 'list');
is($unreadable->{backups}[0]{state}, 'unreadable', 'list: a record that cannot be read');
like($unreadable->{backups}[0]{error}, qr/./, 'list: and why');
($code, $output, $error) = program($repository, 'list');
like($error, qr/^backup_ext: warning: backup \Q$newer\E cannot be read: /, 'list as text: a warning');
is(program_json($repository, 3, 'verify', $newer)->{problems}[0]{path}, 'record.json', 'verify: names the record');
is(program_json($repository, 3, 'show', $newer)->{error}{sqlstate}, 'XX001', 'show: damage');

#
# Help, manual page and completion come from one source.
#
my @commands = qw(list show restore activate undo verify export expire completion);
($code, my $help) = program(undef, '--help');
is($code, 0, '--help: exit code');
like($help, qr/^  $_ +\S/m, "--help: $_") foreach @commands;
like($help, qr/^  $_ +\S/m, "--help: exit code $_") foreach (0, 1, 2, 3, 10, 11);
unlike($help, qr/man-page/, '--help: not what is for make install');
($code, $output) = program(undef, '--version');
like($output, qr/^backup_ext \d+\.\d+\.\d+$/, '--version');

($code, my $manual) = program(undef, 'man-page');
append_to_file("$base/backup_ext.1", $manual);
my ($rendered, $warnings) = ('', '');
ok(IPC::Run::run([ 'groff', '-man', '-Tascii', '-ww', '-P-cbou', "$base/backup_ext.1" ], '>', \$rendered, '2>', \$warnings),
	'groff renders the manual page');
is($warnings, '', 'groff has nothing to say about it');
like($rendered, qr/^ +$_\n/m, "manual page: $_") foreach @commands;
foreach my $command (@commands)
{
	my ($status, $text) = program(undef, $command, '--help');
	foreach my $option ($text =~ /(--[a-z-]+)/g)
	{
		like($rendered, qr/\Q$option\E/, "manual page: $command $option");
	}
}
my ($installed) = run_command([ 'pg_config', '--mandir' ]);
is(slurp_file("$installed/man1/backup_ext.1"), $manual, 'make install has installed it');

foreach my $shell (qw(bash zsh fish))
{
	($code, my $completion) = program(undef, 'completion', $shell);
	is($code, 0, "completion $shell");
	append_to_file("$base/completion.$shell", $completion);
	like($completion, qr/$_/, "completion $shell: $_") foreach @commands;
  SKIP:
	{
		skip "$shell is not there", 1 if system("command -v $shell > /dev/null") != 0;
		succeeds("$shell can read it", $shell, '-n', "$base/completion.$shell");
	}
}

# What bash offers for a line that is typed so far.
sub offered
{
	my (@words) = @_;
	my $script = "source '$base/completion.bash'; COMP_WORDS=(\"\$@\"); COMP_CWORD=\$((\$# - 1)); "
	  . '_backup_ext; printf "%s\n" "${COMPREPLY[@]}"';
	my ($text) = run_command([ 'bash', '-c', $script, 'bash', 'backup_ext', @words ]);
	return join(' ', split(/\n/, $text));
}
is(offered('re'), 'restore', 'bash completes a command');
is(offered('--repository', '/x', ''), join(' ', @commands), 'bash: after a global option with its value');
is(offered('show', ''), 'latest', 'bash completes a backup');
is(offered('export', 'latest', '/x', '--format', 't'), 'tar', 'bash completes a value');
is(offered('expire', '--dr'), '--dry-run', 'bash completes an option');
is(offered('list', '--js'), '--json', 'bash completes a global option after the command');

done_testing();
