#!/usr/bin/perl
# Runs TAP tests, several at once, says what was skipped and why, and writes how many passed, failed
# and were skipped. A file that is skipped as a whole counts as one.
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
# By file, then by reason: how often.
my %skipped;
$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		my $file = $job->[0];
		$parser->callback(
			test => sub {
				my ($test) = @_;
				$skipped{$file}{ $test->explanation }++ if $test->has_skip;
			});
		$parser->callback(
			plan => sub {
				my ($plan) = @_;
				$skipped{$file}{ $plan->explanation }++ if $plan->has_skip;
			});
	});
my $result = $harness->runtests(@files);

my $skipped_tests = 0;
foreach my $file (sort keys %skipped)
{
	foreach my $reason (sort keys %{ $skipped{$file} })
	{
		my $times = $skipped{$file}{$reason};
		$skipped_tests += $times;
		my $text = $reason eq '' ? 'no reason given' : $reason;
		print "SKIPPED: $file: $text", ($times > 1 ? " ($times tests)" : ''), "\n";
	}
}

# A file that dies, or breaks its plan, counts once, on top of the tests that it failed by itself.
my $broken = 0;
foreach my $parser ($result->parsers)
{
	$broken++ if !$parser->failed && ($parser->exit || $parser->parse_errors);
}
my $failed = scalar($result->failed) + $broken;

open(my $counts, '>', $counts_file) or die "could not write file \"$counts_file\": $!\n";
# To TAP a skipped test is one that passed.
my $passed = $result->passed - $result->skipped;
printf $counts "%d %d %d\n", $passed, $failed, $skipped_tests;
close($counts);
exit($failed || !$result->all_passed ? 1 : 0);
