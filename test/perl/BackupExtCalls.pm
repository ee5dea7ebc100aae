# The program under strace: which calls it makes that change the file system, killed or failed at one of
# them, and whether the order of its calls makes durable what it wrote.
#
#   my $calls = calls_of('main', @command);           # ({ name => 'fsync', count => 3, result => 0, ... }, ...)
#   my $run = stopped('main', 'fsync:signal=KILL:when=3', @command);
#   is_deeply([ problems_of_order($run, ...) ], [], 'in order');
#
# strace counts the calls of each name in each thread. "main" is the main thread alone; "all" are all
# threads: the first that comes to the count is hit.
package BackupExtCalls;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(%error_of no_strace calls_of numbers_of sample_of stopped parse_calls failed_calls cause_of ended_in_error
  problems_of_order);

# How a call fails. fsync and syncfs once alone: what they could not write is lost to the kernel, and a second call
# would report success.
our %error_of = (
	(map { $_ => 'ENOSPC' } qw(openat mkdir mkdirat write pwrite64 link linkat symlink symlinkat)),
	(map { $_ => 'EROFS' } qw(rename renameat fchmod ftruncate utimensat unlink unlinkat rmdir)),
	(map { $_ => 'EIO' } qw(fsync syncfs sync_file_range)));

# All that changes names, contents or attributes, or makes changes durable.
my @changing = qw(openat creat mkdir mkdirat mknod mknodat write writev pwrite64 pwritev pwritev2 truncate ftruncate
  fallocate copy_file_range fsync fdatasync sync sync_file_range syncfs rename renameat renameat2 link linkat symlink
  symlinkat unlink unlinkat rmdir chmod fchmod fchmodat chown fchown fchownat lchown utimensat setxattr lsetxattr
  fsetxattr removexattr lremovexattr fremovexattr);

# Why nothing of this can be tested here, or nothing.
sub no_strace
{
	return system('strace -o /dev/null true 2>/dev/null') == 0 ? undef : 'there is no strace';
}

# Runs a command under strace. Returns a hash: killed, code, output, error, trace (text).
sub stopped
{
	my ($threads, $injection, @command) = @_;
	my $trace = PostgreSQL::Test::Utils::tempdir('strace') . '/trace';
	my @calls = defined $injection ? $injection =~ /^(\w+)/ : @changing;
	my @options = ('-y', '-o', $trace, '-e', 'trace=' . join(',', map { "?$_" } @calls));
	push @options, '-f', '--seccomp-bpf' if $threads eq 'all';
	push @options, '-e', "inject=$injection" if defined $injection;
	my ($output, $error) = ('', '');
	IPC::Run::run([ 'strace', @options, @command ], '<', \undef, '>', \$output, '2>', \$error);
	return {
		# strace ends itself as its child did.
		killed => ($? & 127) == 9 || $? >> 8 == 137,
		code => $? & 127 ? 128 + ($? & 127) : $? >> 8,
		output => $output,
		error => $error,
		trace => slurp_file($trace)
	};
}

sub calls_of
{
	my ($threads, @command) = @_;
	my $run = stopped($threads, undef, @command);
	die "the command fails by itself: $run->{error}" if $run->{code} != 0;
	return $run;
}

# What strace wrote, in order: hashes with thread, name, count (of this name in its thread), arguments (text),
# result (text), and begin and end, the lines at which the call was begun and over.
sub parse_calls
{
	my ($run) = @_;
	my (@calls, %open, %count);
	my $line = 0;
	foreach (split(/\n/, $run->{trace}))
	{
		$line++;
		my ($thread, $text) = /^(\d+) +(.*)$/ ? ($1, $2) : (0, $_);
		if ($text =~ /^<\.\.\. \w+ resumed>(.*)$/)
		{
			my $call = delete $open{$thread} // next;
			$call->{text} .= $1;
			$call->{end} = $line;
		}
		elsif ($text =~ /^(\w+)\((.*)$/)
		{
			push @calls, { thread => $thread, name => $1, text => $2, begin => $line, end => $line };
			$calls[-1]{count} = ++$count{$thread}{$1};
			$open{$thread} = $calls[-1] if $calls[-1]{text} =~ s/ ?<unfinished \.\.\.>$//;
		}
	}
	foreach my $call (@calls)
	{
		@$call{qw(arguments result)} = $call->{text} =~ /^(.*)\) += (.*)$/ ? ($1, $2) : ($call->{text}, '?');
	}
	return @calls;
}

# Those that were made to fail; none where the first of them wrote a message for us.
sub failed_calls
{
	my ($run) = @_;
	my @failed = grep { $_->{result} =~ /INJECTED/ } parse_calls($run);
	return @failed && $failed[0]{arguments} !~ /^[12]</ ? @failed : ();
}

sub cause_of
{
	my ($run) = @_;
	my ($cause) = map { $_->{result} =~ /\((.*?)\)/ } failed_calls($run);
	return $cause;
}

# It ended with an error that names the cause, and did not say that it was done.
sub ended_in_error
{
	my ($run, $what) = @_;
	my $cause = cause_of($run);
	is($run->{code}, 1, "$what: exit code");
	# Unless the message itself was hit.
	like($run->{error}, qr/^backup_ext: error: [^\n]*\Q$cause\E/m, "$what: names the cause")
	  unless grep { $_->{arguments} =~ /^2</ } failed_calls($run);
	unlike($run->{output}, qr/^(Restored|Exported)/m, "$what: does not say that it is done");
	return;
}

# Of each name, the counts at which it changes something: of openat those that make a file.
sub numbers_of
{
	my ($run) = @_;
	my %numbers;
	foreach my $call (parse_calls($run))
	{
		next if $call->{name} eq 'openat' && $call->{arguments} !~ /O_CREAT|O_TRUNC/;
		$numbers{ $call->{name} }{ $call->{count} } = 1;
	}
	return { map { $_ => [ sort { $a <=> $b } keys %{ $numbers{$_} } ] } keys %numbers };
}

# All of them, or, where they are many, the first and the last $ends and about $between of those between.
sub sample_of
{
	my ($numbers, $ends, $between) = @_;
	my @all = @$numbers;
	return @all if @all <= 2 * $ends + $between;
	my @middle = @all[ $ends .. $#all - $ends ];
	my $step = @middle / ($between || 1);
	return (@all[ 0 .. $ends - 1 ], (map { $middle[ $step * ($_ + 0.5) ] } 0 .. $between - 1),
		@all[ -$ends .. -1 ]);
}

# Path of an argument that is a descriptor: "5</a/b>" or "AT_FDCWD</a>".
my $descriptor = qr/(?:\d+|AT_FDCWD)(?:<([^>]*)>)?/;

sub join_path
{
	my ($directory, $name) = @_;
	my $path = $name =~ m{^/} ? $name : ($directory // '') . "/$name";
	return $path =~ s{/\.$}{}r;
}

sub parent_of
{
	my ($path) = @_;
	return $path =~ s{/[^/]*$}{}r;
}

# Which paths a call changes: content => [...], attributes => [...], names (directories that have other names
# in them than before) => [...], made, removed, from and to (rename), synced, synced_below.
sub effect_of
{
	my ($call) = @_;
	my ($name, $arguments) = @$call{qw(name arguments)};
	return {} if $call->{result} =~ /^-1|^\?/;
	my ($own) = $arguments =~ /^$descriptor/;
	$own //= '';
	my ($at) = $arguments =~ /^$descriptor, "((?:[^"\\]|\\.)*)"/ ? join_path($1, $2) : undef;
	my ($first) = $arguments =~ /^"((?:[^"\\]|\\.)*)"/;
	my $path = $at // $first;
	return { attributes => [$own] } if $name eq 'utimensat' && !defined $path;
	return { content => [$own] } if $name =~ /^(write|writev|pwrite|pwritev|ftruncate|fallocate|copy_file)/;
	return { attributes => [$own] } if $name =~ /^(fchmod|fchown|fsetxattr|fremovexattr)$/;
	return { synced => $own } if $name =~ /^(fsync|fdatasync)$/;
	return { synced_below => $own } if $name eq 'syncfs';
	if ($name eq 'openat')
	{
		return {} unless $arguments =~ /O_CREAT|O_TRUNC/;
		my ($made) = $call->{result} =~ /^$descriptor/;
		return { content => [$made], names => [ parent_of($made) ] };
	}
	return { made => $path, names => [ parent_of($path) ] } if $name =~ /^(mkdir|mkdirat|mknod|mknodat|creat)$/;
	return { removed => $path, names => [ parent_of($path) ] } if $name =~ /^(unlink|unlinkat|rmdir)$/;
	if ($name =~ /^(rename|link|symlink)/)
	{
		my @paths;
		while ($arguments =~ /(?:$descriptor, )?"((?:[^"\\]|\\.)*)"/g)
		{
			push @paths, join_path($1, $2);
		}
		my ($from, $to) = @paths;
		return { names => [ parent_of($to) ] } if $name =~ /^(link|symlink)/;
		return { from => $from, to => $to, names => [ parent_of($from), parent_of($to) ] };
	}
	return { attributes => [$path] }
	  if $name =~ /^(chmod|fchmodat|chown|lchown|fchownat|utimensat|l?setxattr|l?removexattr)$/ && $path !~ m{^/proc/};
	return {};
}

# One problem a line: what was not on the disk when it had to be, in one run that went well. $below is a
# pattern of the paths that are looked at. Always: what gets another name by a rename is on the disk, and at
# the end of the run all is. Also, where given:
#   last => pattern     path of the last file: when it gets its name, all else is on the disk
#   first => pattern    path of what goes first: nothing else is changed or removed before that is on the disk
#   not => pattern      paths that need not be durable
sub problems_of_order
{
	my ($run, $below, %options) = @_;
	my (%changed, %names, @problems, $first_directory, $first_done);
	my $is_ours = sub {
		return defined $_[0] && $_[0] =~ $below && !(defined $options{not} && $_[0] =~ $options{not});
	};
	my $check = sub {
		my ($moment) = @_;
		push @problems, map { "$moment: content or attributes of $_ are not on the disk" } sort keys %changed;
		push @problems, map { "$moment: names in $_ are not on the disk" } sort keys %names;
	};
	# A change counts from the end of its call, and a sync from its begin: threads work side by side.
	my @events;
	foreach my $call (parse_calls($run))
	{
		my $effect = effect_of($call);
		my $syncs = defined $effect->{synced} || defined $effect->{synced_below};
		push @events, [ $syncs ? $call->{begin} : $call->{end}, $call, $effect ];
	}
	foreach my $event (sort { $a->[0] <=> $b->[0] } @events)
	{
		my ($line, $call, $effect) = @$event;
		my ($begins) = grep { defined && defined $options{last} && /$options{last}/ && $is_ours->($_) }
		  ($effect->{to}, $call->{name} eq 'openat' ? $effect->{content}[0] : undef);
		if (defined $begins)
		{
			# What is renamed was looked at under its old name.
			$check->("when $begins gets its name");
			$options{was_last} = 1;
		}
		if (defined $options{first} && !$first_done)
		{
			my $removed = $effect->{removed};
			$first_directory = parent_of($removed) if defined $removed && $removed =~ $options{first};
			$first_done = 1 if defined $first_directory && ($effect->{synced} // '') eq $first_directory;
			push @problems, "before $options{first} was gone for good: $call->{name}($call->{arguments})"
			  if grep { $is_ours->($_) && $_ !~ m{/backup_ext_stage(/|$)} && $_ !~ $options{first} }
			  ((defined $effect->{made} ? () : @{ $effect->{content} // [] }), $removed // (), $effect->{from} // ());
		}
		$changed{$_} = 1 foreach grep { $is_ours->($_) } @{ $effect->{content} // [] }, @{ $effect->{attributes} // [] };
		$names{$_} = 1 foreach grep { $is_ours->($_) } @{ $effect->{names} // [] };
		foreach my $gone (grep { defined } $effect->{removed})
		{
			delete $changed{$gone};
			delete $names{$gone};
		}
		if (defined $effect->{from})
		{
			my ($from, $to) = @$effect{qw(from to)};
			push @problems, "$from is renamed before it is on the disk" if $changed{$from};
			delete $changed{$from};
		}
		if (defined $effect->{synced})
		{
			delete $changed{ $effect->{synced} };
			delete $names{ $effect->{synced} };
		}
		if (defined(my $top = $effect->{synced_below}))
		{
			delete @changed{ grep { $_ eq $top || index($_, "$top/") == 0 } keys %changed };
			delete @names{ grep { $_ eq $top || index($_, "$top/") == 0 } keys %names };
		}
	}
	$check->('at the end');
	push @problems, "no $options{last} was made" if defined $options{last} && !$options{was_last};
	push @problems, "no $options{first} was removed for good" if defined $options{first} && !$first_done;
	return @problems;
}

1;
