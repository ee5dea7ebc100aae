# Random numbers of a test that must come again with the same seed. Perl's own generator is also used by
# the modules of PostgreSQL::Test.
package BackupExtRandom;

use strict;
use warnings;

sub new
{
	my ($class, $seed) = @_;
	my $self = bless({ state => ($seed ^ 0x2545F491) & 0x7fffffff || 1 }, $class);
	$self->below(2) foreach (1 .. 20);
	return $self;
}

# 0 to $limit - 1.
sub below
{
	my ($self, $limit) = @_;
	# Numerical Recipes' LCG; its high bits are the good ones.
	$self->{state} = ($self->{state} * 1664525 + 1013904223) & 0xffffffff;
	return ($self->{state} >> 8) % $limit;
}

sub between
{
	my ($self, $least, $most) = @_;
	return $least + $self->below($most - $least + 1);
}

# True in $percent of the cases.
sub chance
{
	my ($self, $percent) = @_;
	return $self->below(100) < $percent;
}

sub one_of
{
	my ($self, @list) = @_;
	return @list ? $list[ $self->below(scalar(@list)) ] : undef;
}

# By the weight of each.
sub weighted
{
	my ($self, @list) = @_;
	my $sum = 0;
	$sum += $_->{weight} foreach @list;
	my $place = $self->below($sum);
	foreach my $item (@list)
	{
		return $item if $place < $item->{weight};
		$place -= $item->{weight};
	}
	die "weights are not whole numbers";
}

# 1 to $most, small ones as often as large ones.
sub size
{
	my ($self, $most) = @_;
	return 1 + int(exp($self->below(1_000_000) / 1_000_000 * log($most)));
}

1;
