# Servers whose time of day is what the test says. It can be moved while they run; the monotonic clock
# and the times of files stay as they are, so a day that lies before these makes every backup read all
# files. test/clock/clock.c does it.
#
#   use BackupExtClock;
#   set_clock('2026-03-29 00:59:30');          # UTC; it goes on from there
#   start_with_clock($node);
#   set_clock('2026-03-29 01:00:10', $node);   # and the launcher looks at it
package BackupExtClock;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);

our @EXPORT = qw(set_clock start_with_clock);

# One clock for all servers of a test.
my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $file = "$directory/clock";
my $library = "$directory/clock.so";
my $source = File::Spec->rel2abs(dirname(__FILE__)) . '/../clock/clock.c';
system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O1', '-o', $library, $source, '-ldl') == 0
  or die "could not build $source";

# The nodes that follow are reloaded, which makes their launchers look at the clock.
sub set_clock
{
	my ($utc, @nodes) = @_;
	my ($year, $month, $day, $hour, $minute, $second) = $utc =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)$/
	  or die "no time: $utc";
	my $offset = timegm($second, $minute, $hour, $day, $month - 1, $year) - time();
	# In place: the servers have it mapped.
	open(my $handle, -e $file ? '+<' : '>', $file) or die $!;
	syswrite($handle, pack('q', $offset)) == 8 or die $!;
	close($handle) or die $!;
	$_->reload foreach @nodes;
	return;
}

sub start_with_clock
{
	my ($node) = @_;
	local %ENV = (%ENV, LD_PRELOAD => $library, BACKUP_EXT_TEST_CLOCK => $file);
	$node->start;
	return;
}

1;
