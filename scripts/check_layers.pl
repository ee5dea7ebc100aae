#!/usr/bin/perl
# The layer rule: which folder may include which, no circles, PostgreSQL only in src/server.
#
#   scripts/check_layers.pl [tree]       one line a violation; status 1 when there is one
#   scripts/check_layers.pl --self-test  plants each kind of violation and expects to see it
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Find qw(find);
use File::Path qw(make_path);
use File::Temp qw(tempdir);

# A folder may include itself and what is named here. A new room is added here or is refused.
my %may_include = (
	'core/base'    => [],
	'core/format'  => [qw(core/base)],
	'core/cluster' => [qw(core/base)],
	'core/policy'  => [qw(core/base)],
	'core/store'   => [qw(core/base core/format)],
	'core/backup'  => [qw(core/base core/format core/cluster core/policy core/store)],
	'core/restore' => [qw(core/base core/format core/cluster core/policy core/store)],
	'core/expire'  => [qw(core/base core/format core/policy core/store)],
	'core/verify'  => [qw(core/base core/format core/cluster core/policy core/store)]);
my @core = sort keys %may_include;
$may_include{server} = [@core];
$may_include{cli} = [@core];

# What is included with <> outside src/server: the standard and system headers have no folder or one
# of these; PostgreSQL's are recognized by name, wherever the compiler would find them.
my $postgres_header = qr{^(postgres(_ext|_fe)?\.h|c\.h|fmgr\.h|funcapi\.h|miscadmin\.h|pgstat\.h|pgtime\.h
	|pg_config.*\.h|port\.h|libpq-fe\.h|internal/|postgresql/
	|(access|archive|backup|bootstrap|catalog|commands|common|datatype|executor|foreign|jit|lib|libpq
	|nodes|optimizer|parser|partitioning|port|portability|postmaster|regex|replication|rewrite|snowball
	|statistics|storage|tcop|tsearch|utils|windowapi)(/|\.h))}x;

sub room_of
{
	my ($path) = @_;
	return $path =~ m{^(core/[^/]+)/} ? $1 : $path =~ m{^([^/]+)/} ? $1 : '';
}

# "base/file.h" is core/base/file.h: src/core is on the include path; so is src.
sub resolve
{
	my ($source_root, $includer, $name) = @_;
	foreach my $candidate ("core/$name", $name, dirname($includer) . "/$name")
	{
		1 while $candidate =~ s{(^|/)(?!\.\./)[^/]+/\.\./}{$1};
		return $candidate if -f "$source_root/$candidate";
	}
	return undef;
}

# The chain of a circle through $file, or nothing.
sub find_circle
{
	my ($file, $includes, $state, @chain) = @_;
	return () if ($state->{$file} // '') eq 'done';
	return (@chain, $file) if grep { $_ eq $file } @chain;
	foreach my $next (@{ $includes->{$file} // [] })
	{
		my @circle = find_circle($next, $includes, $state, @chain, $file);
		return @circle if @circle;
	}
	$state->{$file} = 'done';
	return ();
}

sub violations
{
	my ($tree) = @_;
	my $source_root = "$tree/src";
	my (@found, @files, %includes);

	find({ no_chdir => 1, wanted => sub { push @files, substr($_, length("$source_root/"))
			if -f && /\.(h|cpp|c|cc|hpp)$/ } }, $source_root);

	foreach my $file (sort @files)
	{
		my $room = room_of($file);
		push @found, "src/$file: the folder \"$room\" is unknown to the layer rule"
		  unless $may_include{$room};
		open(my $handle, '<', "$source_root/$file") or die "could not read file \"$file\": $!\n";
		while (my $line = <$handle>)
		{
			next unless $line =~ m{^\s*#\s*include\s*([<"])([^>"]+)[>"]};
			my ($kind, $name) = ($1, $2);
			my $where = "src/$file:$.";
			my $target = $kind eq '"' ? resolve($source_root, $file, $name) : undef;
			if (defined $target)
			{
				push @{ $includes{$file} }, $target;
				my $other = room_of($target);
				next if $other eq $room;
				push @found, "$where: $room must not include $other ($name)"
				  unless grep { $_ eq $other } @{ $may_include{$room} // [] };
			}
			elsif ($room ne 'server' && $name =~ $postgres_header)
			{
				push @found, "$where: a PostgreSQL header outside src/server ($name)";
			}
			elsif ($kind eq '"' && $room ne 'server')
			{
				push @found, "$where: \"$name\" is not a file of this project";
			}
		}
	}

	my %state;
	foreach my $file (sort keys %includes)
	{
		my @circle = find_circle($file, \%includes, \%state);
		next unless @circle;
		push @found, 'circle: ' . join(' -> ', @circle);
		last;
	}
	return (scalar(@files), @found);
}

sub plant
{
	my ($tree, %contents) = @_;
	foreach my $path (keys %contents)
	{
		make_path(dirname("$tree/src/$path"));
		open(my $handle, '>', "$tree/src/$path") or die "could not write file \"$path\": $!\n";
		print $handle $contents{$path};
		close($handle);
	}
}

sub self_test
{
	my %sound = (
		'core/base/file.h' => "#include <string>\n",
		'core/store/lock.h' => "#include \"base/file.h\"\n",
		'server/launcher.cpp' => "#include \"store/lock.h\"\nextern \"C\" {\n#include \"postgres.h\"\n}\n");
	my @cases = (
		[ 'a sound tree', {}, undef ],
		[ 'a room to its right', { 'core/base/file.h' => "#include \"store/lock.h\"\n" },
			qr/core\/base must not include core\/store/ ],
		[ 'one verb and another', { 'core/restore/run.h' => "\n",
				'core/backup/run.h' => "#include \"restore/run.h\"\n" },
			qr/core\/backup must not include core\/restore/ ],
		[ 'core and server', { 'server/job.h' => "\n", 'core/base/x.cpp' => "#  include \"server/job.h\"\n" },
			qr/core\/base must not include server/ ],
		[ 'cli and server', { 'server/job.h' => "\n", 'cli/main.cpp' => "#include \"../server/job.h\"\n" },
			qr/cli must not include server/ ],
		[ 'postgres.h in core', { 'core/base/x.cpp' => "#include \"postgres.h\"\n" },
			qr/PostgreSQL header outside/ ],
		[ 'a server header in cli', { 'cli/x.cpp' => "#include <storage/bufpage.h>\n" },
			qr/PostgreSQL header outside/ ],
		[ 'a circle', { 'core/store/a.h' => "#include \"store/b.h\"\n",
				'core/store/b.h' => "#include \"store/a.h\"\n" }, qr/circle: / ],
		[ 'an unknown room', { 'core/util/x.h' => "\n" }, qr/unknown to the layer rule/ ]);

	my $failed = 0;
	foreach my $case (@cases)
	{
		my ($name, $planted, $expected) = @$case;
		my $tree = tempdir(CLEANUP => 1);
		plant($tree, %sound, %$planted);
		my (undef, @found) = violations($tree);
		my $as_expected = $expected ? scalar(grep { $_ =~ $expected } @found) : @found == 0;
		printf "%s - %s\n", $as_expected ? 'ok' : 'not ok', $name;
		print "#   $_\n" foreach $as_expected ? () : @found;
		$failed++ unless $as_expected;
	}
	return $failed;
}

if (@ARGV && $ARGV[0] eq '--self-test')
{
	exit(self_test() ? 1 : 0);
}
my ($file_count, @found) = violations($ARGV[0] // dirname($0) . '/..');
print "$_\n" foreach @found;
printf "%d files, %d violations of the layer rule\n", $file_count, scalar(@found);
exit(@found || $file_count == 0 ? 1 : 0);
