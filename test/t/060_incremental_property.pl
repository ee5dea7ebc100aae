# Random steps, backups between them, each the cluster of its moment: see BackupExtProperty.
#
# BACKUP_EXT_SEED repeats a run, BACKUP_EXT_SECONDS makes it a long one (make soak).
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtProperty;

my $seed = $ENV{BACKUP_EXT_SEED} // time();
diag("seed $seed");
BackupExtProperty::run(
	seed => $seed,
	defined $ENV{BACKUP_EXT_SECONDS} ? (seconds => $ENV{BACKUP_EXT_SECONDS}) : (rounds => 12));

done_testing();
