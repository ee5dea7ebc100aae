#!/usr/bin/perl
# Runs TAP tests, several at once, and writes how many passed and failed.
#
#   scripts/run_tap.pl JOBS COUNTS_FILE FILE...      include directories come from PERL5LIB
#
# Not prove: its summary does not say how many tests passed when a file dies half-way.
use strict;
use warnings;
use TAP::Harness;

my ($jobs, $counts_file, @files) = @ARGV;
die "usage: $0 JOBS COUNTS_FILE FILE...\n" unless @files;

my $harness = TAP::Harness->new(
	{ jobs => $jobs, verbosity => 0, timer => 1, failures => 1, color => 0 });
my $result = $harness->runtests(@files);

# A file that dies, or breaks its plan, counts once, on top of the tests that it failed by itself.
my $broken = 0;
foreach my $parser ($result->parsers)
{
	$broken++ if !$parser->failed && ($parser->exit || $parser->parse_errors);
}
my $failed = scalar($result->failed) + $broken;

open(my $counts, '>', $counts_file) or die "could not write file \"$counts_file\": $!\n";
printf $counts "%d %d\n", scalar($result->passed), $failed;
close($counts);
exit($failed || !$result->all_passed ? 1 : 0);
