# The removal of backups by the program is killed before each change that it makes, or a call fails: what is listed then
# is sound, and the next one ends what was begun, without a trace.
use strict;
use warnings;
use BackupExtCalls;
use BackupExtJudges;
use BackupExtProgram;
use BackupExtStopped;
use BackupExtTest qw(repository_files take_backup);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use JSON::PP;
use Test::More;

plan skip_all => no_strace() if defined no_strace();

my $origin = make_origin('main');
$origin->{node}->start;
sleep(2);    # apart by more than the retention of below
my $newest = take_backup($origin->{node});
$origin->{node}->stop;
my $repository = "$origin->{work}/repository";
my @expire = ('backup_ext', '--repository', $repository, 'expire', '--retention', '1 second');

sub put_back
{
	system_or_bail('rm', '-rf', $repository);
	system_or_bail('cp', '-a', $origin->{repository}, $repository);
	return;
}

sub listed
{
	my ($code, $output, $error) = program($repository, 'list', '--json');
	return $code == 0 ? map { "$_->{backup_id} $_->{state}" } @{ JSON::PP->new->decode($output)->{backups} } : "$code $error";
}

# Each backup that is listed, and no more than there were.
sub what_is_listed_is_sound
{
	my ($what) = @_;
	my @listed = listed();
	foreach my $backup (@listed)
	{
		my ($id, $state) = split(/ /, $backup, 2);
		is($state, 'complete', "$what: $id is listed as complete");
		my ($code, $output, $error) = program($repository, 'verify', $id);
		is($code, 0, "$what: $id is sound") or diag("$output$error");
	}
	is((split(/ /, $listed[0]))[0], $newest, "$what: the newest is there");
	return scalar(@listed);
}

# What a verify remembers is no object of a backup.
sub objects
{
	return join("\n", grep { !m{/verify-[^/]*$} && $_ ne 'locks/writer.lock' } repository_files($repository));
}

put_back();
my $numbers = numbers_of(calls_of('main', @expire));
my $objects = objects();
is(join(' ', listed()), "$newest complete", 'the newest alone stays');

my %seen;
sub is_ended_by_the_next
{
	my ($what) = @_;
	$seen{ what_is_listed_is_sound($what) }++;
	my ($code, $output, $error) = program(undef, @expire[ 1 .. $#expire ]);
	is($code, 0, "$what: the next one succeeds") or diag("$output$error");
	is(objects(), $objects, "$what: and leaves what an undisturbed one leaves");
	return;
}

foreach my $call (sort keys %$numbers)
{
	foreach my $number (sample_of($numbers->{$call}, 8, 8))
	{
		put_back();
		my $run = stopped('main', "$call:signal=KILL:when=$number", @expire);
		ok($run->{killed}, "killed before $call $number") or diag($run->{error});
		is_ended_by_the_next("killed before $call $number");
	}
}
is_deeply([ sort keys %seen ], [ 1, 2, 3 ], 'none, one and both were removed');

my $failures = 0;
foreach my $call (grep { exists $numbers->{$_} } sort keys %error_of)
{
	foreach my $number (sample_of($numbers->{$call}, 4, 4))
	{
		my $what = "$call $number fails";
		put_back();
		my $run = stopped('main', "$call:error=$error_of{$call}:when=$number", @expire);
		if ($run->{code} != 0 && failed_calls($run))
		{
			$failures++;
			is($run->{code}, 1, "$what: exit code");
			like($run->{output} . $run->{error}, qr/\Q@{[ cause_of($run) ]}\E/, "$what: names the cause");
		}
		is_ended_by_the_next($what);
	}
}
cmp_ok($failures, '>', 3, 'it failed');
system_or_bail('rm', '-rf', $repository);

done_testing();
