# A directory of media with all kinds of files, and its comparison by a full listing.
package BackupExtMedia;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(make_tree listing same_tree);

my $python = 'test/media/tree.py';

sub make_tree
{
	my ($directory) = @_;
	system_or_bail('python3', $python, 'make', $directory);
	return;
}

sub listing
{
	my ($directory) = @_;
	my ($output, $errors) = run_command([ 'python3', $python, 'list', $directory ]);
	die "no listing of $directory: $errors" if $errors ne '';
	return $output;
}

# Each a directory, or a reference to a listing.
sub same_tree
{
	my ($found, $expected, $what) = @_;
	my @found = split /\n/, ref $found ? $$found : listing($found);
	my @expected = split /\n/, ref $expected ? $$expected : listing($expected);
	is_deeply(\@found, \@expected, $what);
	return;
}

1;
