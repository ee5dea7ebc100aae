# Who is told of the end of a job: event_command, and sessions that listen. Neither holds up a job.
use strict;
use warnings;
use BackupExtSchedule;
use BackupExtTest qw(take_backup stage);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main');
my $told = $node->basedir . '/told';
my $command = "cat >> '$told'";
configure($node, 'backup_ext.event_command' => $command);

sub events
{
	return () unless -s $told;
	return map { decode_json($_) } split(/\n/, slurp_file($told));
}

# Waits for that many events, and returns the last one.
sub event
{
	my ($count, $what) = @_;
	wait_until(sub { scalar(my @all = events()) >= $count }, $what);
	my @all = events();
	is(scalar(@all), $count, "$what: one event");
	return $all[-1];
}

#
# Each kind of job, good and bad.
#
my $backup_id = take_backup($node, label => 'before "the" upgrade');
my $event = event(1, 'a backup');
is_deeply([ @{$event}{qw(operation result trigger kind backup_id label error)} ],
	[ 'backup', 'succeeded', 'manual', 'full', $backup_id, 'before "the" upgrade', '' ], 'what it says');
is_deeply([ @{$event}{qw(database_bytes stored_bytes)} ],
	[ split(/\|/, $node->safe_psql('postgres', 'SELECT database_bytes, stored_bytes FROM backup_list()')) ],
	'and its sizes');
like($event->{finished_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'and its time');
my $stage = stage($node, $backup_id);
is(event(2, 'a restore')->{stage_id}, $stage->{stage_id}, 'a restore is told');
$node->safe_psql('postgres', 'SELECT * FROM backup_verify()');
is(event(3, 'a verify')->{operation}, 'verify', 'a verify is told');
$node->safe_psql('postgres', 'SELECT * FROM backup_expire()');
is(event(4, 'an expiry')->{operation}, 'expire', 'an expiry is told');
$node->safe_psql('postgres', 'SELECT * FROM backup_expire(dry_run => true)');
$node->psql('postgres', "SELECT backup_now(kind => 'incremental', label => repeat('x', 256))");
my $repository = BackupExtTest::repository($node);
rename($repository, "$repository.away") or die $!;
$node->psql('postgres', 'SELECT backup_now()');
rename("$repository.away", $repository) or die $!;
$event = event(5, 'a failure');
is($event->{result}, 'failed', 'a failure is told; what never became a job is not');
like($event->{error}, qr/repository/, 'with its error');
configure($node, 'backup_ext.max_rate' => '1MB');
start_slow_backup($node);
$node->safe_psql('postgres', 'SELECT backup_cancel(job_id) FROM backup_progress()');
is(event(6, 'a cancel')->{result}, 'canceled', 'a cancel is told');
configure($node, 'backup_ext.max_rate' => '0');

#
# Commands that fail, read nothing, or do not end.
#
my $position = log_position($node);
configure($node, 'backup_ext.event_command' => 'exit 3');
take_backup($node);
wait_until(sub { count_in_log($node, qr/WARNING:  event_command for backup of job job-\S+ exited with exit code 3/, $position) },
	'exit code 3');
pass('a command that fails is a warning');
configure($node, 'backup_ext.event_command' => 'kill -9 $$');
take_backup($node);
wait_until(sub { count_in_log($node, qr/was terminated by signal 9/, $position) }, 'signal 9');
pass('so is one that dies');

my $marker = $node->basedir . '/marker';
configure($node, 'backup_ext.event_command' =>
	  "sleep 1000 & echo \$! > '$marker'; trap '' TERM; ls /proc/self/fd | wc -l >> '$marker'; sleep 1000");
take_backup($node);
wait_until(sub { -s $marker && (() = slurp_file($marker) =~ /\n/g) == 2 }, 'the command runs');
my ($sleeper, $descriptors) = split(/\n/, slurp_file($marker));
ok(kill(0, $sleeper), 'a command that does not end');
cmp_ok($descriptors, '<=', 4, 'it has no descriptor of the server');
take_backup($node) foreach 1 .. 2;
pass('holds up no backup');
wait_until(sub { count_in_log($node, qr/did not end within 30 seconds and was killed/, $position) }, 'the limit');
wait_until(sub { !kill(0, $sleeper) }, 'its children end');
pass('after its limit the whole group is ended');
configure($node, 'backup_ext.event_command' => 'sleep 1000');
$node->stop('fast');
pass('nor does it hold up a shutdown');
$node->start;
unlike(slurp_file($node->logfile), qr/PANIC|server process/, 'nothing crashed');

#
# LISTEN. A database without the extension hears nothing.
#
$node->safe_psql('postgres', 'CREATE DATABASE other');
configure($node, 'backup_ext.event_command' => undef);
my %heard;
my %sessions;
foreach my $database (qw(postgres other))
{
	my ($in, $out) = ('', '');
	$heard{$database} = { in => \$in, out => \$out };
	$sessions{$database} = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr($database) ],
		'<', \$in, '>', \$out, '2>', \$out);
	$in .= "LISTEN backup_ext;\nSELECT 'ready';\n";
	$sessions{$database}->pump until $out =~ /ready/;
}
my $heard_id = take_backup($node, label => 'secret');
my $notification = qr/Asynchronous notification "backup_ext" with payload "(.*)" received/;
wait_until(
	sub {
		my $session = $heard{postgres};
		${ $session->{in} } .= "SELECT 1;\n";
		$sessions{postgres}->pump_nb;
		return ${ $session->{out} } =~ $notification;
	},
	'a notification');
my ($payload) = ${ $heard{postgres}{out} } =~ $notification;
$event = decode_json($payload);
is_deeply([ @{$event}{qw(operation result backup_id label data_directory)} ],
	[ 'backup', 'succeeded', $heard_id, '', '' ], 'who listens is told, without label and paths');
${ $heard{other}{in} } .= "SELECT 'still here';\n";
$sessions{other}->pump until ${ $heard{other}{out} } =~ /still here/;
unlike(${ $heard{other}{out} }, $notification, 'not in a database without the extension');
$_->kill_kill foreach values %sessions;
BackupExtTest::nothing_left_running($node, 'at the end');

done_testing();
