# A restore of the program in which a call of the system fails, once or from then on, or that is canceled: it ends
# with an error that names the cause, leaves nothing, or what the next restore goes on with, and the next one
# succeeds. What could not be brought to the disk is not counted as good. And what a restore that goes well brings
# to the disk, and in which order, is read from its calls.
use strict;
use warnings;
use BackupExtCalls;
use BackupExtJudges;
use BackupExtStopped;
use BackupExtTest qw(take_backup);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => no_strace() if defined no_strace();

my $origin = make_origin('main');
my $trees = whole_trees($origin);
my $target = $origin->{target};
my $ours = qr{^\Q$origin->{work}\E(/|$)};
my @restore = restore_command($origin, $origin->{second});
my $park = park_earlier($origin);
my $remove = sub { remove_target($origin) };

#
# The order in which it becomes durable
#
foreach my $case ([ 'a new stage', $remove ], [ 'onto an earlier stage', $park, first => qr{/global/pg_control$} ])
{
	my ($what, $prepare, %options) = @$case;
	$prepare->();
	my $run = calls_of('all', @restore);
	is(join("\n", problems_of_order($run, $ours, last => qr{^\Q$target\E/global/pg_control$}, %options)), '',
		"$what: all is on the disk before pg_control has its name, and pg_control before it is called restored");
	like($run->{output}, qr/^Restored backup/m, "$what: it said so");
}

#
# Calls that fail
#
my %failures;

# A call fails. Returns what came of it, or nothing when it was not met.
sub fails_at
{
	my ($threads, $call, $when, $what) = @_;
	my $run = stopped($threads, "$call:error=$error_of{$call}:when=$when", @restore);
	my @failed = failed_calls($run) or return;
	my $state = state_of_target($origin, $trees);
	if ($run->{code} == 0)
	{
		like($call, qr/^(sync_file_range|unlinkat|utimensat)$/, "$what: is no failure");
		is($state, $origin->{second}, "$what: the stage is whole");
		return { succeeded => 1 };
	}
	$failures{ $error_of{$call} . ($when =~ /\+/ ? '+' : '') }++;
	ended_in_error($run, $what);
	isnt($state, $origin->{second}, "$what: no stage is left that can be started");
	my ($path) = $failed[0]{arguments} =~ /^\d+<([^>]*)>/;
	ok(!-f $path || $path =~ m{/stage\.json\.new$}, "$what: what is not on the disk was thrown away") or diag($path)
	  if $call eq 'fsync';
	return { error => $run->{error} };
}

foreach my $case ([ 'new', $remove, 3, 3, 1, 2 ], [ 'onto an earlier stage', $park, 2, 3, 1, 2 ])
{
	my ($place, $prepare, @sizes) = @$case;
	foreach my $threads (qw(main all))
	{
		my @sample = splice(@sizes, 0, 2);
		$prepare->();
		my $numbers = numbers_of(calls_of($threads, @restore));
		foreach my $call (grep { exists $numbers->{$_} } sort keys %error_of)
		{
			my $trial = 0;
			foreach my $number (sample_of($numbers->{$call}, @sample))
			{
				# Files that are read are opened by openat too.
				my $lasting = ++$trial % 2 == 0 && $call !~ /sync|openat/ ? '+' : '';
				my $what = "$place: $call $number$lasting of $threads fails";
				$prepare->();
				my $end = fails_at($threads, $call, $number . $lasting, $what) // next;
				next if $end->{succeeded};
				if ($place eq 'new' && !($lasting && $call =~ /unlink|rmdir/))
				{
					is_deeply([ slurp_names($origin->{work}) ], [], "$what: nothing is left");
					next if $trial % 4 != 0;
				}
				is_finished_by_the_same_call($origin, $origin->{second}, $trees, $what);
			}
		}
	}
}

#
# Canceled
#
my %canceled;
foreach my $case ([ 'new', $remove ], [ 'onto an earlier stage', $park ])
{
	my ($place, $prepare) = @$case;
	foreach my $threads (qw(main all))
	{
		$prepare->();
		my $numbers = numbers_of(calls_of($threads, @restore));
		foreach my $call (qw(mkdirat openat write fsync renameat))
		{
			foreach my $number (sample_of($numbers->{$call}, 1, 2))
			{
				my $what = "$place: canceled at $call $number of $threads";
				$prepare->();
				my $run = stopped($threads, "$call:signal=INT:when=$number", @restore);
				$canceled{ $run->{code} }++;
				if ($run->{code} == 0)
				{
					is(state_of_target($origin, $trees), $origin->{second}, "$what: too late, and whole");
					next;
				}
				is($run->{code}, 1, "$what: exit code");
				like($run->{error}, qr/^backup_ext: error: canceled by the user$/m, "$what: says so");
				isnt(state_of_target($origin, $trees), $origin->{second}, "$what: no stage is left that can be started");
				is_deeply([ slurp_names($origin->{work}) ], [], "$what: nothing is left") if $place eq 'new';
				is_finished_by_the_same_call($origin, $origin->{second}, $trees, $what) if $place ne 'new';
			}
		}
	}
}
cmp_ok($canceled{1}, '>', 10, 'it was canceled');

is_deeply([ sort keys %failures ], [ 'EIO', 'ENOSPC', 'ENOSPC+', 'EROFS', 'EROFS+' ], 'it failed in all ways')
  or diag(join(' ', %failures));
starts_as($origin, $origin->{second}, 'after all that');
nothing_else_was_touched($origin);

my $check = calls_of('all', 'backup_ext', '--repository', $origin->{repository}, 'verify', $origin->{first});
is(join("\n", problems_of_order($check, qr{^\Q$origin->{repository}\E/}, not => qr{/locks/|/tmp$})), '',
	'verify: what it remembers is on the disk');

# What removes a backup from there: first that which makes it one, for good, and then its packs.
$origin->{node}->start;
take_backup($origin->{node});
$origin->{node}->stop;
my $expire = calls_of('all', 'backup_ext', '--repository', $origin->{repository}, 'expire', '--retention', '1 second');
like($expire->{output}, qr/^\Q$origin->{first}\E +remove/m, 'expire: the first backup goes');
is(join("\n", problems_of_order($expire, qr{^\Q$origin->{repository}\E/}, first => qr{/\Q$origin->{first}\E/record\.json$},
	not => qr{/locks/|/tmp$})), '', 'expire: its record is gone for good before anything else of it goes');

done_testing();
