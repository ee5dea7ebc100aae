# A stage becomes the server and the server that was comes back, by the real program: with tablespaces,
# killed before every change that it makes to the file system, and by a mark at the next start.
use strict;
use warnings;
use BackupExtJudges;
use BackupExtProgram;
use BackupExtTest qw(new_node repository take_backup stage start_stage stop_stage staged_psql dump);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => { autovacuum => 'off' });
my $data = $node->data_dir;
my $base = PostgreSQL::Test::Utils::tempdir();
mkdir("$base/space") or die;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$base/space'");
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 5000) i');
$node->safe_psql('postgres', 'CREATE TABLE s TABLESPACE space AS SELECT i FROM generate_series(1, 5000) i');
$node->safe_psql('postgres', q{ALTER SYSTEM SET work_mem = '7MB'});
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'space'});
my $auto_conf = slurp_file("$data/postgresql.auto.conf");
my $backup_id = take_backup($node);
my $then = dump($node);
$node->safe_psql('postgres', q{UPDATE t SET x = 'changed'; DROP TABLE s; CREATE TABLE later AS SELECT 1 AS i});
$node->safe_psql('postgres', q{ALTER SYSTEM SET work_mem = '9MB'});
my $now = dump($node);
my $stage = stage($node, $backup_id);
my $place = $stage->{directory};
my $command = $node->safe_psql('postgres', 'SELECT activate_command FROM backup_staged()');
is($command, $node->config_data('--bindir') . "/backup_ext activate $place --pgdata $data",
	'backup_staged() says how to activate it');

sub refused
{
	my ($what, $message, @arguments) = @_;
	my ($code, $output, $error) = program(undef, @arguments);
	like($code, qr{^[12]$}, "$what: refused");
	like($error, $message, "$what: says why");
	like($error, qr/hint: /, "$what: says what to do");
	return;
}

sub timeline
{
	my ($server) = @_;
	return $server->safe_psql('postgres',
		q{SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int});
}

sub is_then
{
	my ($what) = @_;
	same_dump(dump($node), $then, "$what: the server has what was backed up");
	is($node->safe_psql('postgres', 'SHOW work_mem'), '7MB', "$what: and its settings");
	is($node->safe_psql('postgres', 'SELECT pg_tablespace_location(' . $oid . ')'),
		"$data.tablespaces-$stage->{stage_id}/$oid", "$what: and its tablespace");
	return;
}

sub is_now
{
	my ($what) = @_;
	same_dump(dump($node), $now, "$what: the server is what it was");
	is($node->safe_psql('postgres', 'SHOW work_mem'), '9MB', "$what: with its settings");
	is($node->safe_psql('postgres', 'SELECT pg_tablespace_location(' . $oid . ')'), "$base/space",
		"$what: and its tablespace");
	return;
}

#
# Refused while a server runs on either.
#
refused('the server runs', qr/a server is running in "\Q$data\E"/, 'activate', $place, '--pgdata', $data);
refused('nothing was activated', qr/nothing to undo/, 'undo', '--pgdata', $data);
my $before = tree_state($place, "$place.tablespaces");
$node->stop;
my $copy = start_stage($stage);
refused('the stage runs', qr/a server is running in "\Q$place\E"/, 'activate', $place, '--pgdata', $data);
refused('no stage', qr/There is no stage/, 'activate', $base, '--pgdata', $data);
stop_stage($copy);

#
# A stage that was looked into, then one that was not: there, back, and there again.
#
start_activated($node);
my $fresh = stage($node, $backup_id);
$node->stop;
runs('a dry run', 'activate', $place, '--pgdata', $data, '--dry-run');
ok(!-e "$data.backup_ext_activation", 'a dry run leaves no journal');
foreach my $case ([ 'looked into', $stage ], [ 'fresh', $fresh ])
{
	my ($what, $chosen) = @$case;
	$stage = $chosen;
	my $output = runs("$what: activate", 'activate', $stage->{directory}, '--pgdata', $data);
	like($output, qr/backup_ext undo --pgdata/, "$what: says how to go back");
	start_activated($node);
	is_then($what);
	is(slurp_file("$data/postgresql.auto.conf"), $auto_conf, "$what: the origin's own file is in force");
	is(timeline($node), 2, "$what: on a timeline of its own");
	is($node->safe_psql('postgres',
			"SELECT state FROM backup_staged() WHERE stage_id = '$stage->{stage_id}'"),
		'activated', "$what: listed as activated");
	refused("$what: undo while it runs", qr/a server is running/, 'undo', '--pgdata', $data);
	$node->safe_psql('postgres', 'CREATE TABLE since AS SELECT 1 AS i');
	$node->stop($what eq 'fresh' ? 'immediate' : 'fast');
	runs("$what: undo", 'undo', '--pgdata', $data, '--dry-run');
	runs("$what: undo", 'undo', '--pgdata', $data);
	start_activated($node);
	is_now($what);
	is(timeline($node), 1, "$what: on its own timeline");
	$node->stop;
}
$copy = start_stage($stage);
is(staged_psql($copy, 'postgres', 'SHOW listen_addresses'), '', 'after undo the stage has its guards');
is(staged_psql($copy, 'postgres', 'SELECT i FROM since'), '1', 'and what was written since');
stop_stage($copy);
refused('a restore onto it', qr/was the server until its activation was undone/,
	'restore', $backup_id, $stage->{directory}, '--repository', repository($node));

#
# The new server goes on in the same repository; the restore of its backup is compared too.
#
runs('activate by id', 'activate', $stage->{stage_id}, '--pgdata', $data);
start_activated($node);
my $next_id = take_backup($node);
is($node->safe_psql('postgres', "SELECT timeline FROM backup_list() WHERE backup_id = '$next_id'"),
	'2', 'a backup of the new server, on its timeline');
my $after = dump($node);
my $second = stage($node, $next_id);
verify_stage($second);
$copy = start_stage($second);
same_dump(dump($copy), $after, 'restored, it is equal by dump');
stop_stage($copy);
is($node->safe_psql('postgres', "SELECT count(*) FROM backup_list() WHERE state = 'complete'"),
	'2', 'beside the earlier one');

# And it can be replaced in turn; what was replaced can be discarded, and then there is no way back.
$node->stop;
runs('the next stage', 'activate', $second->{directory}, '--pgdata', $data);
start_activated($node);
same_dump(dump($node), $after, 'the next stage is the server');
is(timeline($node), 3, 'on the next timeline');
$node->safe_psql('postgres', "SELECT backup_discard_stage('$second->{stage_id}')");
$node->stop;
refused('undo without the old directory', qr/cannot undo/, 'undo', '--pgdata', $data);
start_activated($node);
same_dump(dump($node), $after, 'discarding what was replaced harms nothing');
$then = $after;
$backup_id = take_backup($node);
$node->safe_psql('postgres', 'CREATE TABLE newest AS SELECT 1 AS i');
$now = dump($node);

#
# Marked while the server runs, activated before it starts.
#
$stage = stage($node, $backup_id);
runs('no mark: nothing', 'activate', '--if-marked', '--pgdata', $data);
runs('mark', 'activate', $stage->{directory}, '--pgdata', $data, '--at-next-start');
refused('marked, but it runs', qr/a server is running/, 'activate', '--if-marked', '--pgdata', $data);
runs('mark again', 'activate', $stage->{directory}, '--pgdata', $data, '--at-next-start');
runs('unmark', 'activate', '--pgdata', $data, '--unmark');
$node->stop;
is(runs('unmarked: nothing', 'activate', '--if-marked', '--pgdata', $data), '', 'and it is silent');
runs('mark for the start', 'activate', $stage->{directory}, '--pgdata', $data, '--at-next-start');
like(runs('before the start', 'activate', '--if-marked', '--pgdata', $data), qr/is the data directory/,
	'the marked stage is activated');
ok(!-e "$data.backup_ext_next", 'the mark is gone');
start_activated($node);
same_dump(dump($node), $then, 'the marked stage is the server');
$node->stop;
runs('undo', 'undo', '--pgdata', $data);

#
# Killed before each change to the file system: the server starts, as one or as the other.
#
SKIP:
{
	skip 'there is no strace', 1 if system('strace -o /dev/null true 2>/dev/null') != 0;
	foreach my $verb (qw(activate undo))
	{
		my @arguments = $verb eq 'activate' ? ($stage->{directory}, '--pgdata', $data) : ('--pgdata', $data);
		my (%seen, $kills);
		# strace counts the calls of each name by itself.
		foreach my $call (qw(renameat2 rename symlink unlink rmdir mkdir fsync))
		{
			for (my $count = 1;; $count++)
			{
				program(undef, 'activate', $stage->{directory}, '--pgdata', $data) if $verb eq 'undo';
				my $status = system('strace', '-o', '/dev/null', '-e',
					"inject=$call:signal=KILL:when=$count", 'backup_ext', $verb, @arguments);
				my $killed = ($status & 127) == 9 || ($status >> 8) == 137;
				my $what = "$verb, killed before $call $count";
				# Starting takes its time: where names change, and now and then.
				if ($killed && ($call =~ /^rename/ || ++$kills % 10 == 0))
				{
					start_activated($node);
					my $has = $node->safe_psql('postgres', q{SELECT to_regclass('newest') IS NOT NULL});
					same_dump(dump($node), $has eq 't' ? $now : $then, $what);
					$seen{$has}++;
					$node->stop;
				}
				program(undef, 'undo', '--pgdata', $data);
				ok(!-e "$data.backup_ext_activation", "$what: nothing is left open");
				ok(-e "$stage->{directory}/backup_ext_stage/stage.json"
						&& !-e "$data/backup_ext_stage/stage.json", "$what: all is as it was");
				last unless $killed;
			}
		}
		is_deeply([ sort keys %seen ], [ 'f', 't' ], "$verb: both states were seen");
	}

	# A call fails, once or from then on. Where it is an error, activate has put all back; what it could not
	# put back, and what undo has begun, the next call ends.
	foreach my $verb (qw(activate undo))
	{
		my @arguments = $verb eq 'activate' ? ($stage->{directory}, '--pgdata', $data) : ('--pgdata', $data);
		my %failures;
		foreach my $fault (qw(renameat2:error=EROFS rename:error=ENOSPC symlink:error=ENOSPC unlink:error=EROFS
			rmdir:error=EROFS mkdir:error=ENOSPC fsync:error=ENOSPC))
		{
			foreach my $lasting ('', '+')
			{
				for (my $count = 1;; $count++)
				{
					program(undef, 'activate', $stage->{directory}, '--pgdata', $data) if $verb eq 'undo';
					my $trace = "$base/trace";
					my ($output, $error) = run_command([ 'strace', '-o', $trace, '-e',
						"inject=$fault:when=$count$lasting", 'backup_ext', $verb, @arguments ]);
					my $failed = slurp_file($trace) =~ /\(INJECTED\)/;
					my $what = "$verb, $fault from call $count$lasting";
					if ($failed && $error ne '')
					{
						like($error, qr/error: .*(No space left|Read-only file system)/s, "$what: says why");
						$failures{$lasting}++;
						ok(!-e "$data.backup_ext_activation", "$what: it is rolled back")
						  if $verb eq 'activate' && $lasting eq '';
					}
					program(undef, 'undo', '--pgdata', $data);
					ok(!-e "$data.backup_ext_activation" && !-e "$data.backup_ext_parked"
							&& -e "$stage->{directory}/backup_ext_stage/stage.json"
							&& !-e "$data/backup_ext_stage/stage.json", "$what: all is as it was");
					last unless $failed;
				}
			}
		}
		ok($failures{''} && $failures{'+'}, "$verb: it failed in both ways");
	}
	# Ctrl-C at its heart: it goes on to its end.
	foreach my $verb (qw(activate undo))
	{
		my @arguments = $verb eq 'activate' ? ($stage->{directory}, '--pgdata', $data) : ('--pgdata', $data);
		succeeds("$verb goes on at a signal", 'strace', '-o', '/dev/null', '-e', 'inject=fsync:signal=INT:when=3',
			'backup_ext', $verb, @arguments);
	}

	# A file system that cannot exchange two names: a third name is used. Killed in between, the next call
	# puts one of the two in place.
	foreach my $verb (qw(activate undo))
	{
		my @arguments = $verb eq 'activate' ? ($stage->{directory}, '--pgdata', $data) : ('--pgdata', $data);
		for (my $count = 1;; $count++)
		{
			program(undef, 'activate', $stage->{directory}, '--pgdata', $data) if $verb eq 'undo';
			my $status = system('strace', '-o', '/dev/null', '-e', 'inject=renameat2:error=EINVAL', '-e',
				"inject=rename:signal=KILL:when=$count", 'backup_ext', $verb, @arguments);
			my $killed = ($status & 127) == 9 || ($status >> 8) == 137;
			my $what = "$verb without an exchange, " . ($killed ? "killed before rename $count" : 'to its end');
			is($status, 0, $what) unless $killed;
			if ($count % 4 == 0 || !$killed)
			{
				runs("$what: before the next start", 'activate', '--if-marked', '--pgdata', $data);
				start_activated($node);
				my $has = $node->safe_psql('postgres', q{SELECT to_regclass('newest') IS NOT NULL});
				same_dump(dump($node), $has eq 't' ? $now : $then, $what);
				$node->stop;
			}
			program(undef, 'undo', '--pgdata', $data);
			ok(!-e "$data.backup_ext_activation" && !-e "$data.backup_ext_parked", "$what: nothing is left open");
			ok(-e "$stage->{directory}/backup_ext_stage/stage.json"
					&& !-e "$data/backup_ext_stage/stage.json", "$what: all is as it was");
			last unless $killed;
		}
	}
	start_activated($node);
	same_dump(dump($node), $now, 'after all that, the server is what it was');
}

done_testing();
