# As 071_stopped_restore.pl, onto a stage of an earlier backup: what is left is the earlier stage, untouched, or one
# that is plainly unfinished, or the new one. Its tablespace lies in a place of its own.
use strict;
use warnings;
use BackupExtCalls;
use BackupExtJudges;
use BackupExtStopped;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => no_strace() if defined no_strace();

my $origin = make_origin('main');
$origin->{mapped} = "$origin->{target}.mapped";
my $trees = whole_trees($origin);
my $park = park_earlier($origin);
my $seen = stopped_anywhere($origin, $origin->{second}, $trees, $park, main => [ 8, 4 ], all => [ 2, 4 ]);
is_deeply([ sort keys %$seen ], [ 'earlier', 'unfinished', 'whole' ], 'all states were met');
nothing_else_was_touched($origin);

done_testing();
