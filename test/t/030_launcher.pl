# The launcher as a process of the server: it is seen, follows reloads, ends with every kind of
# shutdown, comes back after every kind of death, and is where it is needed on a standby.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# A backup takes half a minute at this rate: time to stop and to kill.
my %slow = ('backup_ext.max_rate' => '1MB', 'restart_after_crash' => 'on');
my $node = BackupExtTest::new_node('launcher', conf => \%slow);
my $nothing = q{SELECT format('%s jobs, %s slots', (SELECT count(*) FROM backup_progress()),
	(SELECT count(*) FROM pg_replication_slots))};

#
# It is there, and follows reloads.
#
my $pid = launcher_after($node, '', 'server start');
is($node->safe_psql('postgres',
		q{SELECT status || ' ' || (detail LIKE 'running with PID %') FROM backup_check()
		  WHERE name = 'launcher'}),
	'ok true', 'backup_check() knows the launcher');
is($node->safe_psql('postgres', qq{SELECT datname IS NULL FROM pg_stat_activity WHERE pid = $pid}),
	't', 'it is connected to no database, so none is kept from being dropped');

launcher_says($node, qr/^ok\|automatic backups are switched off/, 'enabled = off is seen');
configure($node, 'backup_ext.enabled' => 'on',
	'backup_ext.window' => window($node, '2 hours', '3 hours'));
launcher_says($node, qr/^ok\|the window is closed/, 'a reload is followed');
configure($node, 'backup_ext.enabled' => 'off');
launcher_says($node, qr/^ok\|automatic backups are switched off/, 'and the next one');

my $position = log_position($node);
is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'it can be signalled');
configure($node, 'backup_ext.enabled' => 'on');
launcher_says($node, qr/^ok\|the window is closed/, 'there is nothing to cancel in it');
is(launcher_pid($node), $pid, 'and it goes on');
unlike(log_since($node, $position), qr/ERROR|WARNING|FATAL/, 'without a word');

is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"), 't', 'it can be terminated');
$pid = launcher_after($node, $pid, 'pg_terminate_backend()');
launcher_says($node, qr/^ok\|the window is closed/, 'the new launcher looks as well');
configure($node, 'backup_ext.enabled' => 'off', 'backup_ext.window' => undef);

#
# Every kind of shutdown, in bounded time, alone and while a backup runs.
#
sub stops
{
	my ($mode, $what, %options) = @_;
	my $before = log_position($node);
	my $start = time();
	$node->stop($mode);
	cmp_ok(time() - $start, '<', 15, "$what: the server stops soon");
	my $log = log_since($node, $before);
	# What PostgreSQL itself says to a session that waits.
	$log =~ s/^.*FATAL:  terminating connection due to administrator command.*$//mg;
	unlike($log, qr/PANIC|FATAL|was terminated by signal|server process .* exited/,
		"$what: nothing crashed");
	like($log, $options{log}, "$what: the log tells") if $options{log};
	$node->start;
	$pid = launcher_after($node, '', $what);
	is($node->safe_psql('postgres', $nothing), '0 jobs, 0 slots', "$what: nothing is left");
	is(backups($node), '', "$what: no backup is in the list");
	return;
}

stops($_, "$_ shutdown") foreach qw(smart fast immediate);
my $told = qr/ERROR:  terminating job due to administrator command/;
start_slow_backup($node);
stops('smart', 'smart shutdown during a backup', log => $told);
start_slow_backup($node);
stops('immediate', 'immediate shutdown during a backup');
my ($output, $error) = ('', '');
my $waiting = IPC::Run::start(
	[ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', 'SELECT backup_now()' ],
	'<', \undef, '>', \$output, '2>', \$error);
$node->poll_query_until('postgres', q{SELECT phase = 'copying files' FROM backup_progress()})
  or die 'the backup does not copy';
stops('fast', 'fast shutdown during a backup that somebody waits for', log => $told);
$waiting->finish;
like($error, qr/terminating connection due to administrator command/, 'who waited is told');

#
# Crashes. The server restarts by itself; the job that ran is gone with the shared memory.
#
sub crashes
{
	my ($what, $victim) = @_;
	start_slow_backup($node);
	my $old = launcher_pid($node);
	kill('KILL', $victim->()) == 1 or die "$what: nothing to kill";
	$pid = launcher_after($node, $old, $what);
	is($node->safe_psql('postgres', $nothing), '0 jobs, 0 slots', "$what: nothing is left");
	is(backups($node), '', "$what: no backup is in the list");
	ok(!-e $node->data_dir . '/backup_label', "$what: no backup_label");
	return;
}

sub pid_of
{
	my ($type) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
}

crashes('SIGKILL of the launcher', sub { pid_of('backup_ext launcher') });
crashes('SIGKILL of the worker', sub { pid_of('backup_ext worker') });
crashes('SIGKILL of another process', sub { pid_of('walwriter') });

# The whole server at once: nobody is left who could end the children but they themselves.
start_slow_backup($node);
my @children = (pid_of('backup_ext launcher'), pid_of('backup_ext worker'));
$node->kill9;
wait_until(sub { !grep { kill(0, $_) } @children }, 'the children of a dead server end');
pass('launcher and worker end with the postmaster');
$node->start;
$pid = launcher_after($node, $children[0], 'start after a crash');
is(backups($node), '', 'start after a crash: no backup is in the list');

#
# A worker that is told to end before it has begun takes no backup, and its job is over.
#
sub starting_worker
{
	my ($postmaster) = split(/\n/, slurp_file($node->data_dir . '/postmaster.pid'));
	foreach my $status (glob('/proc/[0-9]*/status'))
	{
		my $text = eval { slurp_file($status) } // next;
		my ($child) = $status =~ /(\d+)/;
		next unless $text =~ /^PPid:\s+$postmaster$/m;
		return $child if (eval { slurp_file("/proc/$child/cmdline") } // '') =~ /backup_ext backup/;
	}
	return;
}

configure($node, 'backup_ext.max_rate' => '0', 'post_auth_delay' => '1s');
$waiting = IPC::Run::start(
	[
		'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', 'SELECT backup_now(wait => false)'
	],
	'<', \undef, '>', \$output, '2>', \$error);
my $worker;
wait_until(sub { $worker = starting_worker() }, 'a worker starts');
kill('TERM', $worker);
configure($node, 'post_auth_delay' => undef);
$waiting->finish;
wait_until(sub { !kill(0, $worker) }, 'the worker ends');
is($node->safe_psql('postgres', $nothing), '0 jobs, 0 slots',
	'SIGTERM to a worker that starts: its job is over');
is(backups($node), '', 'SIGTERM to a worker that starts: no backup');

# After all that, and what the other backups left behind:
my $backup_id = BackupExtTest::take_backup($node);
is(backups($node), 'manual complete', 'the next backup works');
my $stage = BackupExtTest::stage($node, $backup_id);

#
# On a standby, through its promotion; and on one that takes no connections.
#
configure($node, 'backup_ext.enabled' => 'on',
	'backup_ext.window' => window($node, '2 hours', '3 hours'));
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf',
	"backup_ext.repository = '" . BackupExtTest::repository($standby) . "'");
# Its own repository is empty: a promoted server would make up for the window of yesterday at once.
$standby->append_conf('postgresql.conf', 'backup_ext.catch_up = off');
$standby->start;
my $standby_pid = launcher_after($standby, '', 'standby');
launcher_says($standby, qr/^ok\|the server is in recovery/, 'a standby waits');
$standby->promote;
launcher_says($standby, qr/^ok\|the window is closed/, 'the promoted one does not');
is(launcher_pid($standby), $standby_pid, 'it is the same launcher');
$standby->stop('fast');

my $cold = PostgreSQL::Test::Cluster->new('cold');
$cold->init_from_backup($node, 'base', has_streaming => 1);
$cold->append_conf('postgresql.conf', 'hot_standby = off');
$cold->start;
unlike(slurp_file($cold->logfile), qr/ERROR|PANIC|backup_ext/, 'hot_standby = off: nothing of ours');
# psql is turned away until the promotion: pg_ctl alone.
system_or_bail('pg_ctl', '-D', $cold->data_dir, '-w', 'promote');
launcher_after($cold, '', 'promoted with hot_standby = off');
$cold->stop('fast');

#
# Whatever the configuration file says: the server starts, and its queries run.
#
configure($node, map { ("backup_ext.$_" => undef) } qw(enabled window));
my $missing = $node->basedir . '/not_mounted/repository';
my @values = (
	[ 'repository', 'backups', '', qr/repository must be an absolute path/ ],
	[ 'repository', $node->data_dir . '/x', $node->data_dir . '/x' ],
	[ 'repository', $missing, $missing ],
	[ 'window', 'nightly', '02:00-05:00', qr/invalid window "nightly"/ ],
	[ 'staging_directory', 'stages', '', qr/staging directory must be an absolute path/ ]);
foreach my $row (@values)
{
	my ($setting, $value, $effective, $problem) = @$row;
	my $what = "$setting = '$value'";
	$position = log_position($node);
	$node->append_conf('postgresql.conf', "backup_ext.$setting = '$value'");
	$node->restart;
	like(log_since($node, $position), $problem, "$what: the log names the problem") if $problem;
	is($node->safe_psql('postgres', qq{SHOW backup_ext."$setting"}), $effective, "$what: in effect");
	launcher_after($node, '', $what);
	my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
	is($node->safe_psql('postgres', "SET $parallel = on; SELECT count(*) > 0 FROM pg_class"), 't',
		"$what: parallel workers start");
	$node->append_conf('postgresql.conf', "backup_ext.$setting = '"
		  . ($setting eq 'repository' ? BackupExtTest::repository($node)
			: $setting eq 'window' ? '02:00-05:00' : '') . "'");
}
$node->stop;

#
# Without preloading: each function says what is missing and how to mend it.
#
my $bare = BackupExtTest::new_node('bare', no_repository => 1,
	conf => { shared_preload_libraries => '' });
my @calls = (
	'SELECT backup_now()', q{SELECT backup_cancel('x')}, 'SELECT * FROM backup_list()',
	'SELECT * FROM backup_progress()', 'SELECT backup_stage_restore()',
	'SELECT * FROM backup_staged()', q{SELECT backup_discard_stage('x')},
	q{SELECT backup_pin('x')}, q{SELECT backup_unpin('x')}, q{SELECT backup_drop('x')},
	'SELECT * FROM backup_expire()', 'SELECT * FROM backup_verify()',
	'SELECT * FROM backup_status()', 'SELECT * FROM backup_history()',
	q{SELECT backup_cron('0 3 * * *')}, 'SELECT backup_cron_remove()',
	q{SELECT backup_export('latest', 'x')});
my @sessions = (
	[ 'not preloaded', '' ],
	[ 'loaded in the session', q{LOAD 'backup_ext';} ]);
foreach my $session (@sessions)
{
	my ($what, $before) = @$session;
	BackupExtTest::fails_with($bare, "$before $_", '55000', 'backup_ext is not loaded by the server',
		'Add backup_ext to shared_preload_libraries and restart the server', "$what, $_")
	  foreach @calls;
	is($bare->safe_psql('postgres',
			"$before SELECT name, status, hint FROM backup_check() WHERE name = 'preloaded'"),
		'preloaded|error|Add it and restart the server: without it there are no background workers.',
		"$what: backup_check() answers");
}
is($bare->safe_psql('postgres', q{SELECT count(*) FROM pg_proc
	WHERE proname LIKE 'backup\_%' AND probin IS NOT NULL}), scalar(@calls) + 1,
	'these are all functions');
is($bare->safe_psql('postgres', q{LOAD 'backup_ext'; SHOW backup_ext."window"}), '02:00-05:00',
	'its settings are there once it is loaded');
is(launcher_pid($bare), '', 'and no launcher');
unlike(slurp_file($bare->logfile), qr/PANIC|was terminated by signal/, 'nothing crashed');

done_testing();
