# An export of the program, plain and tar, is killed before each change that it makes to the file system, or a call
# fails: what is left is an export that is whole, or one that no tool takes for one; after an error nothing is left. And
# what it brings to the disk, and in which order, is read from its calls.
use strict;
use warnings;
use BackupExtCalls;
use BackupExtJudges;
use BackupExtProgram;
use BackupExtStopped;
use BackupExtTest qw(dump stop_stage);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => no_strace() if defined no_strace();

my $origin = make_origin('main');
my $target = $origin->{target};
my $ours = qr{^\Q$origin->{work}\E(/|$)};
my $unpacked = PostgreSQL::Test::Utils::tempdir();

sub export_command
{
	my ($format) = @_;
	return ('backup_ext', '--repository', $origin->{repository}, 'export', $origin->{second}, $target, '--format', $format,
		'--jobs', 1);
}

# path => content of what was exported; of tar files of what they hold.
sub exported_tree
{
	my ($format) = @_;
	return tree_of($target) if $format eq 'plain';
	system_or_bail('rm', '-rf', $unpacked);
	foreach my $tar (glob("$target/*.tar"))
	{
		my $place = "$unpacked/" . ($tar =~ s{.*/}{}r);
		system_or_bail('mkdir', '-p', $place);
		system('tar', '-xf', $tar, '-C', $place) == 0 or return { $tar => 'is no tar' };
	}
	return tree_of($unpacked);
}

# What makes an export one.
sub is_called_whole
{
	my ($format) = @_;
	return $format eq 'plain' ? -s "$target/global/pg_control" : -e "$target/backup_manifest";
}

sub started_as_exported
{
	my ($what) = @_;
	my $copy = start_export($target);
	same_dump(dump($copy), $origin->{dumps}{ $origin->{second} }, "$what: started, it is equal by dump");
	stop_stage($copy);
	return;
}

foreach my $format (qw(plain tar))
{
	my @export = export_command($format);
	my (%seen, %failures);

	#
	# What nobody stops, and its order
	#
	remove_target($origin);
	my $run = calls_of('all', @export);
	my $last = $format eq 'plain' ? 'global/pg_control' : 'backup_manifest';
	is(join("\n", problems_of_order($run, $ours, last => qr{^\Q$target/$last\E$})), '',
		"$format: all is on the disk before $last has its name, and that before it is called exported");
	like($run->{output}, qr/^Exported backup/m, "$format: it said so");
	my $whole = exported_tree($format);
	cmp_ok(scalar(keys %$whole), '>', 300, "$format: it is a cluster");
	succeeds("$format: pg_verifybackup accepts it", 'pg_verifybackup', '-q', $target) if $format eq 'plain';

	foreach my $threads ($format eq 'plain' ? qw(main all) : 'main')
	{
		remove_target($origin);
		my $numbers = numbers_of(calls_of($threads, @export));

		#
		# Killed
		#
		my $trial = 0;
		foreach my $call (sort keys %$numbers)
		{
			my @sample = $threads eq 'main' ? (4, 4) : (1, 2);
			foreach my $number (sample_of($numbers->{$call}, @sample))
			{
				my $what = "$format: killed before $call $number of $threads";
				remove_target($origin);
				$run = stopped($threads, "$call:signal=KILL:when=$number", @export);
				ok($run->{killed} || $threads eq 'all', $what) or diag($run->{error});
				my $is_whole = is_called_whole($format) ? 1 : 0;
				$seen{$is_whole}++;
				if ($is_whole)
				{
					is(join(' ', differences(exported_tree($format), $whole)), '', "$what: what is called an export is whole");
					next;
				}
				$trial++;
				isnt(scalar(run_log([ 'pg_verifybackup', '-q', $target ])), 1, "$what: pg_verifybackup refuses it");
				cannot_be_started($origin, $what)
				  if $format eq 'plain' && -e "$target/PG_VERSION" && (-e "$target/global/pg_control" || $trial % 10 == 0);
				my ($code, $output, $error) = program(undef, @export[ 1 .. $#export ]);
				if ($code != 0)
				{
					like($error, qr/is not empty.*hint: Name a directory that is empty/s, "$what: the next one says what to do");
					next if $trial % 10 != 0;
					remove_target($origin);
					($code) = program(undef, @export[ 1 .. $#export ]);
				}
				is($code, 0, "$what: the next one succeeds");
				is(join(' ', differences(exported_tree($format), $whole)), '', "$what: and is whole");
			}
		}

		#
		# A call fails, once or from then on
		#
		foreach my $call (grep { exists $numbers->{$_} } sort keys %error_of)
		{
			my $trial = 0;
			foreach my $number (sample_of($numbers->{$call}, $threads eq 'main' ? (3, 2) : (1, 1)))
			{
				# Files that are read are opened by openat too.
				my $lasting = ++$trial % 2 == 0 && $call !~ /sync|openat/ ? '+' : '';
				my $what = "$format: $call $number$lasting of $threads fails";
				remove_target($origin);
				$run = stopped($threads, "$call:error=$error_of{$call}:when=$number$lasting", @export);
				failed_calls($run) or next;
				if ($run->{code} == 0)
				{
					like($call, qr/^(sync_file_range|unlinkat)$/, "$what: is no failure");
					is(join(' ', differences(exported_tree($format), $whole)), '', "$what: it is whole");
					next;
				}
				$failures{ $error_of{$call} . $lasting }++;
				ended_in_error($run, $what);
				is_deeply([ slurp_names($origin->{work}) ], [], "$what: nothing is left")
				  unless $lasting && $call =~ /unlink|rmdir/;
			}
		}
	}
	is_deeply([ sort keys %seen ], [ 0, 1 ], "$format: both states were met");
	cmp_ok($failures{$_} // 0, '>', 0, "$format: it failed with $_") foreach qw(EIO ENOSPC ENOSPC+ EROFS);
	remove_target($origin);
	runs("$format: after all that", @export[ 1 .. $#export ]);
	is(join(' ', differences(exported_tree($format), $whole)), '', "$format: it is whole");
	started_as_exported($format) if $format eq 'plain';
}
nothing_else_was_touched($origin);

done_testing();
