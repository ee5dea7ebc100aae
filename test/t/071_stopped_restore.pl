# A restore of the program is killed before each change that it makes to the file system: what is left is a
# stage that is whole, or one that is plainly unfinished; the same call finishes it, and nothing else was touched.
use strict;
use warnings;
use BackupExtCalls;
use BackupExtStopped;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => no_strace() if defined no_strace();

my $origin = make_origin('main');
my $trees = whole_trees($origin);
my $seen = stopped_anywhere($origin, $origin->{second}, $trees, sub { remove_target($origin) },
	main => [ 10, 5 ], all => [ 3, 5 ]);
is_deeply([ sort keys %$seen ], [ 'unfinished', 'whole' ], 'both states were met');
nothing_else_was_touched($origin);

done_testing();
