# The progress bar of the program, on a terminal that is wide or narrow, and nowhere else.
use strict;
use warnings;
use IO::Pty;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtTest qw(new_node repository take_backup);

plan skip_all => 'no pseudo terminals here' unless eval { IO::Pty->new };

my $node = new_node('main');
my $repository = repository($node);
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i, md5(i::text) AS text FROM generate_series(1, 400000) i');
take_backup($node);
$node->stop;
my $base = PostgreSQL::Test::Utils::tempdir();
my $restored = 0;

sub restore { return ('restore', 'latest', "$base/restored_" . ++$restored) }
sub verify { return ('verify', 'latest') }

# (exit code, what a terminal of so many columns was sent, what came into the file). $apart is the number of
# the stream that is no terminal. $under is what the program runs under.
sub on_terminal
{
	my ($columns, $apart, $under, @command) = @_;
	my $screen = '';
	my $terminal = $apart == 1 ? 2 : 1;
	unlink("$base/apart");
	IPC::Run::run(
		[
			'sh', '-c', qq{stty cols $columns <&$terminal; exec "\$@" $apart> '$base/apart'}, 'sh', @$under,
			'backup_ext', '--repository', $repository, @command
		],
		'<', \undef, '>pty>', \$screen);
	return ($? >> 8, $screen, slurp_file("$base/apart"));
}

# The states of the line, as they replaced each other. The last one must be the empty line.
sub drawn
{
	my ($screen, $what) = @_;
	like($screen, qr/\A(?:\r[^\r\n]*\e\[K)+\z/, "$what: one line that is drawn again and again");
	my @lines = $screen =~ /\r([^\r]*)\e\[K/g;
	is(pop @lines, '', "$what: it is taken away at the end");
	cmp_ok(scalar @lines, '>', 0, "$what: it was drawn");
	note("$what: " . join(' / ', @lines));
	return @lines;
}

$ENV{TERM} = 'xterm';
# Where it can be had: each read takes a while, and the line is seen at several moments.
my @slow = qw(strace -f -qq -o /dev/null -e trace=pread64 -e);
my $can_be_slow = system('strace -o /dev/null true 2>/dev/null') == 0;
foreach my $case ([ 'restore', \&restore, 2000, qr/(?:checking|writing files|syncing)/ ], [ 'verify', \&verify, 20000, qr/(?:starting|checking|verifying files)/ ])
{
	my ($name, $command, $delay_us, $phases) = @$case;
	my $size = qr/[\d.]+ (?:bytes|kB|MB)/;
	my %forms = (
		200 => qr/^$phases +(?:\[#*\.*\] +(\d+) %  $size of $size  $size\/s)?$/,
		60 => qr/^$phases +(?:\[[#.]{10}\] +(\d+) %(?:  $size of $size)?)?$/,
		20 => qr/^(?:\[[#.]{10}\] +(\d+) %)?$/,
		8 => qr/^(?: *(\d+) %)?$/,
		4 => qr/^$/);
	foreach my $columns (sort { $a <=> $b } keys %forms)
	{
		my $what = "$name, $columns columns";
		my $is_slow = $can_be_slow && ($columns == 20 || $columns == 200);
		my ($code, $screen, $output) =
		  on_terminal($columns, 1, $is_slow ? [ @slow, "inject=pread64:delay_enter=$delay_us" ] : [], $command->());
		is($code, 0, "$what: done");
		like($output, qr/^\S[^\r]+\n\z/, "$what: the result is where standard output goes");
		my @lines = drawn($screen, $what);
		is_deeply([ grep { $_ !~ $forms{$columns} } @lines ], [], "$what: each line has the form");
		is_deeply([ grep { length($_) >= $columns } @lines ], [], "$what: and room");
		my @percent = map { $_ =~ $forms{$columns} ? $1 // () : () } @lines;
		is_deeply([ grep { $_ > 100 } @percent ], [], "$what: percentages up to 100");
		is_deeply([ sort { $a <=> $b } @percent ], \@percent, "$what: that grow");
		cmp_ok(scalar @percent, '>', 2, "$what: several of them") if $is_slow;
	}

	my ($code, $screen, $document) = on_terminal(80, 1, [], '--json', $command->());
	is($screen, '', "$name --json: nothing on the terminal");
	ok(JSON::PP::decode_json($document)->{backup_id}, "$name --json: the document");
	($code, $screen, my $error) = on_terminal(80, 2, [], $command->());
	is($error, '', "$name: nothing where standard error is no terminal");
	unlike($screen, qr/\e|\r(?!\n)/, "$name: and only the result on the terminal");
	local $ENV{TERM} = 'dumb';
	($code, $screen) = on_terminal(80, 1, [], $command->());
	is($screen, '', "$name: nothing on a terminal that cannot do it");
}

# An error after it has a line of its own.
my ($pack) = sort { -s $b <=> -s $a } glob("$repository/packs/*/*"), glob("$repository/packs/*");
open(my $file, '+<:raw', $pack) or die "could not open \"$pack\": $!";
seek($file, (-s $pack) / 2, 0);
print $file "\0" x 512;
close($file) or die;
my ($code, $screen, $output) = on_terminal(80, 1, [], verify());
is($code, 3, 'damage is found');
like($screen, qr/\r\e\[Kbackup_ext: error: backup \S+ is damaged[^\r]*\r\nbackup_ext: hint: [^\r]*\r\n\z/, 'and told after the bar is gone');

done_testing();
