# Media directories: backed up with the database, restored beside it, compared by a full listing.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use BackupExtFaults qw(refuses_with);
use BackupExtJudges qw(succeeds same_dump);
use BackupExtMedia qw(make_tree listing same_tree);
use BackupExtProgram qw(program program_json);
use BackupExtTest qw(new_node repository stage start_stage stop_stage dump nothing_left_running repository_files);

my $base = PostgreSQL::Test::Utils::tempdir();
my ($tree, $other) = ("$base/uploads", "$base/avatars, and more");

my $node = new_node('main', conf => { client_min_messages => 'notice' });

# SQL that shows its NOTICEs; returns the value and what was said.
sub told
{
	my ($sql) = @_;
	my ($output, $said) = ('', '');
	is($node->psql('postgres', $sql, stdout => \$output, stderr => \$said), 0, $sql) or diag($said);
	return ($output, $said);
}

sub set
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET backup_ext.$name = $value");
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT pending_restart = false FROM pg_settings WHERE name = 'backup_ext.$name'");
}

sub listed
{
	my ($backup_id, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM backup_list() WHERE backup_id = '$backup_id'");
}

# Bytes of the packs that a backup wrote of media.
sub media_stored
{
	my ($backup_id) = @_;
	my $bytes = 0;
	$bytes += -s $_ foreach glob(repository($node) . "/packs/$backup_id/1???-*.pack");
	return $bytes;
}

make_tree($tree);
mkdir $other or die;
append_to_file("$other/one", "the other directory\n");

# What is refused when it is set, with the reason.
my $data = $node->data_dir;
my @refused = (
	[ 'no absolute path', 'uploads', qr/must be an absolute path/ ],
	[ 'missing', "$base/missing", qr/does not exist/ ],
	[ 'the data directory', $data, qr/must be apart from the data directory/ ],
	[ 'inside of it', "$data/base", qr/must be apart from the data directory/ ],
	[ 'around it', $node->basedir, qr/must be apart from the data directory/ ],
	[ 'twice', "$tree, $tree/", qr/is named twice/ ],
	[ 'one in the other', "$tree, $tree/photos", qr/overlap/ ],
	[ 'the root', '/', qr/cannot be the root directory/ ]);
foreach (@refused)
{
	my ($what, $value, $message) = @$_;
	my ($output, $errors) = ('', '');
	isnt($node->psql('postgres', "ALTER SYSTEM SET backup_ext.media_directories = '$value'", stderr => \$errors), 0, "refused: $what");
	like($errors, $message, "the reason: $what");
}
refuses_with($node, 'SELECT backup_now(include_media => true)',
	{ state => '55000', message => qr/^no media directories are set/, hint => qr/media_directories/ });

set('media_directories', "'$tree, \"$other\"'");
is($node->safe_psql('postgres', q{SELECT status FROM backup_check() WHERE name = 'media_directories'}), 'ok', 'backup_check() knows them');
refuses_with($node, "ALTER SYSTEM SET backup_ext.repository = '$tree/backups'",
	{ state => '22023', message => qr/cannot be inside directory/, hint => qr/./ });

$node->safe_psql('postgres', q{CREATE TABLE uploads AS SELECT i AS id, 'photos/2024/' || i || '.jpg' AS path FROM generate_series(0, 299) i});
my $dump = dump($node);
my ($first, $said) = told('SELECT backup_now(include_media => true)');
like($said, qr/NOTICE:  media: \d+ bytes in 31\d files of 2 directories, of which \d+ bytes in 31\d files are to be read; that takes about/,
	'size and time are shown');
is(listed($first, 'state, media_bytes > 80000000, stored_bytes < 30000000, error IS NULL'), 'complete|t|t|t', 'the list knows the media');
like(slurp_file($node->logfile), qr/skipping special file "\Q$tree\E\/pipe"/, 'a pipe is passed over, and said so');
my $listing = listing($tree);

# Nothing changed: next to nothing is stored. Something changed: that alone.
my ($second) = told('SELECT backup_now(include_media => true)');
is(media_stored($second), 0, 'what did not change is not stored again');
my ($without) = told('SELECT backup_now()');
is(listed($without, 'media_bytes'), '0', 'a backup without media between two with media');
append_to_file("$tree/photos/2024/7.jpg", 'more');
rename("$tree/photos/2024/8.jpg", "$tree/photos/8 renamed.jpg") or die;
unlink("$tree/photos/2024/9.jpg") or die;
chmod(0600, "$tree/photos/2024/10.jpg") or die;
append_to_file("$tree/photos/new", 'n' x 700_000);
my ($third) = told('SELECT backup_now(include_media => true)');
my $stored = media_stored($third);
ok($stored > 0 && $stored < 50_000, "what changed is stored alone: $stored bytes");

# Restored: equal in everything.
my $stage = stage($node, $first, include_media => 'true');
same_tree("$stage->{directory}.media/1", \$listing, 'the media of the first backup, by a full listing');
same_tree("$stage->{directory}.media/2", $other, 'the other directory');
my $copy = start_stage($stage);
same_dump(dump($copy), $dump, 'the database beside them');
stop_stage($copy);
my $now = stage($node, $third, include_media => 'true', safety_backup => 'false');
same_tree("$now->{directory}.media/1", $tree, 'those of the third backup, after one without media');
chmod(0555, "$now->{directory}.media/1/photos/2024") or die;
$node->safe_psql('postgres', "SELECT backup_discard_stage('$now->{stage_id}')");
ok(!-e "$now->{directory}.media", 'discarding a stage takes its media along');

# With and without: both are clear.
refuses_with($node, "SELECT backup_stage_restore('$without', include_media => true)",
	{ state => '42704', message => qr/\Q$without\E.*holds no media/, detail => qr/./, hint => qr/without media/ });
my (undef, $left_out) = told("SELECT backup_stage_restore('$first', safety_backup => false)");
like($left_out, qr/NOTICE:  backup \Q$first\E holds \d+ bytes of media, which are not restored/, 'media left out are told of');
my (undef, $where) = told("SELECT backup_stage_restore('$first', safety_backup => false, include_media => true)");
like($where, qr/NOTICE:  the media are in ".*\.media"/, 'where they are');
my (undef, $exported) = told("SELECT backup_export('$first', '$base/exported')");
like($exported, qr/NOTICE:  backup \Q$first\E holds \d+ bytes of media, which an export leaves out/, 'an export leaves them out, and says so');
succeeds('pg_verifybackup accepts it', 'pg_verifybackup', "$base/exported");

# The program, without a server.
my $shown = program_json(repository($node), 0, 'show', $first);
is_deeply([ map { $_->{path} } @{ $shown->{media_directories} } ], [ $tree, $other ], 'show names the directories');
my $restored = program_json(repository($node), 0, 'restore', $first, "$base/by_program");
is($restored->{media_directory}, "$base/by_program.media", 'the program restores them too');
same_tree("$base/by_program.media/1", \$listing, 'by the program');
program_json(repository($node), 0, 'restore', '--media-directory', "$base/placed", $first, "$base/by_program2");
same_tree("$base/placed/1", \$listing, 'into a directory that was named');
$restored = program_json(repository($node), 0, 'restore', '--no-media', $first, "$base/by_program3");
ok(!defined $restored->{media_directory} && !-e "$base/by_program3.media", 'or not at all');
my ($code, undef, $warned) = program(repository($node), 'restore', '--no-media', $first, "$base/by_program3");
is($code, 0, '--no-media onto an earlier stage');
like($warned, qr/^backup_ext: warning: backup \Q$first\E holds .* of media, which were not restored$/m, 'media left out are warned of');
($code, undef, $warned) = program(repository($node), 'restore', '--media-directory', "$base/no_media", $without, "$base/by_program4");
is($code, 1, '--media-directory with a backup without media is refused');
like($warned, qr/^backup_ext: error: .*backup \Q$without\E holds no media/m, 'and the message says why');
ok(!-e "$base/by_program4" && !-e "$base/no_media", 'and nothing was made');

# Into the same directory again: the media too are those of the backup that was asked for.
append_to_file("$base/by_program.media/1/stray", 'stray');
chmod(0555, "$base/by_program.media/1/photos/2024") or die;
$restored = program_json(repository($node), 0, 'restore', $third, "$base/by_program");
ok($restored->{kept_bytes} > 0, 'what is right in the database is kept');
same_tree("$base/by_program.media/1", $tree, 'the media of another backup onto an earlier stage');
$restored = program_json(repository($node), 0, 'restore', '--media-directory', "$base/moved", $third, "$base/by_program");
same_tree("$base/moved/1", $tree, 'now into another directory');
is_deeply($restored->{media_removed}, ["$base/by_program.media"], 'and those of the earlier stage are told of');
ok(!-e "$base/by_program.media", 'and gone');
chmod(0555, "$base/moved/1/photos/2024") or die;
($code, undef, $warned) = program(repository($node), 'restore', '--no-media', $third, "$base/by_program");
is($code, 0, 'now without media');
like($warned, qr/^backup_ext: warning: the media of the earlier stage, in "\Q$base\E\/moved", were removed$/m, 'those that were there are told of');
ok(!-e "$base/moved", 'and gone');

# Verify reads them; damage is named.
is($node->safe_psql('postgres', "SELECT count(*) FROM backup_verify('$first')"), '0', 'a sound backup');
my @packs = grep { m{packs/\Q$first\E/1\d\d\d-} } sort keys %{ { map { $_ => 1 } glob(repository($node) . "/packs/$first/*") } };
ok(@packs > 0, 'media have packs of their own');
my $pack = $packs[0];
my $size = -s $pack;
open(my $file, '+<:raw', $pack) or die;
seek($file, int($size / 2), 0);
read($file, my $byte, 1);
seek($file, int($size / 2), 0);
print $file chr(ord($byte) ^ 1);
close($file);
like($node->safe_psql('postgres', "SELECT path FROM backup_verify('$first') LIMIT 1"), qr{^media/1/}, 'verify names the media file');
my ($status, undef, $errors) = program(repository($node), 'restore', $first, "$base/damaged");
isnt($status, 0, 'a restore of it fails');
like($errors, qr{could not restore file "media/1/}, 'and names it');
ok(!-e "$base/damaged" && !-e "$base/damaged.media", 'and leaves nothing');
# Found damaged: the next backup stores all anew.
my ($fresh) = told(q{SELECT backup_now(kind => 'full', include_media => true)});
my $after = stage($node, $fresh, include_media => 'true', safety_backup => 'false');
same_tree("$after->{directory}.media/1", $tree, 'a fresh full backup');

# Space comes back.
foreach my $id ($first, $second, $without, $third)
{
	$node->safe_psql('postgres', "SELECT backup_drop('$id', force => true)");
}
is_deeply([ grep { m{packs/(?:\Q$first\E|\Q$third\E)/} } glob(repository($node) . '/packs/*/*') ], [], 'dropping gives the space of media back');
is($node->safe_psql('postgres', "SELECT count(*) FROM backup_verify('$fresh')"), '0', 'what is left is sound');

# On the schedule.
set('media_on_schedule', 'on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM backup_check() WHERE name = 'media_directories' AND status = 'ok'}), '1', 'media_on_schedule');

# A file that nobody may read: the backup is taken, and says what it lacks.
SKIP:
{
	skip 'root reads everything', 4 if $> == 0;
	chmod(0, "$tree/photos/2024/11.jpg") or die;
	my ($lacking, $warned) = told('SELECT backup_now(include_media => true)');
	like($warned, qr/WARNING:  1 media files or directories could not be read.*11\.jpg/, 'what cannot be read is told');
	like(listed($lacking, 'error'), qr/^1 media files or directories could not be read.*11\.jpg/, 'and listed');
	is($node->safe_psql('postgres', q{SELECT status FROM backup_check() WHERE name = 'media_directories'}), 'warning', 'and checked');
}

# A directory that is gone: an error, before anything is copied.
rename($other, "$other.gone") or die;
refuses_with($node, 'SELECT backup_now(include_media => true)',
	{ state => '42704', message => qr/^media directory "\Q$other\E" does not exist/, hint => qr/mount/ });
is($node->safe_psql('postgres', q{SELECT status FROM backup_check() WHERE name = 'media_directories'}), 'error', 'and backup_check() says so');
nothing_left_running($node);
$node->stop;

done_testing();
