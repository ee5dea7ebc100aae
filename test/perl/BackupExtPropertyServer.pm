# What may happen to a server between two backups: ends of every kind, settings that change what is in the
# WAL and on the pages, and time.
package BackupExtPropertyServer;

use strict;
use warnings;

use BackupExtJudges qw(succeeds);
use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(server_actions);

# name => [ weight, call, least version ]. A call returns false when there was nothing to do.
my %actions = (
	'crash' => [ 5, \&crash ],
	'restart' => [ 3, \&restart ],
	'checksums on or off' => [ 3, \&toggle_checksums ],
	'wal_log_hints on or off' => [ 2, \&toggle_hints ],
	'summarize_wal on or off' => [ 4, \&toggle_summaries, 17 ],
	'full_page_writes on or off' => [ 1, \&toggle_full_pages ],
	'wal_level minimal for a while' => [ 2, \&minimal_for_a_while ],
	'drop and create a tablespace' => [ 2, \&new_tablespace ],
	'end a prepared transaction' => [ 3, \&end_prepared ],
	'drop a backup' => [ 4, \&drop_backup ],
	'a short pause' => [ 3, sub { sleep(0.3) } ],
	# Longer than a change may hide behind a file system's clock.
	'a long pause' => [ 2, sub { sleep(2.3) } ]);

sub server_actions
{
	my ($world) = @_;
	my $version = $world->{node}->pg_version;
	return map { { name => $_, weight => $actions{$_}[0], call => $actions{$_}[1] } }
	  grep { $version >= ($actions{$_}[2] // 0) } sort keys %actions;
}

sub crash
{
	my ($world) = @_;
	$world->{node}->stop('immediate');
	$world->{node}->start;
	return 1;
}

sub restart
{
	my ($world) = @_;
	$world->{node}->restart;
	return 1;
}

sub toggle_checksums
{
	my ($world) = @_;
	my $node = $world->{node};
	my $on = $node->safe_psql('postgres', 'SHOW data_checksums') eq 'on';
	$node->stop;
	succeeds('pg_checksums changes the pages', 'pg_checksums', $on ? '--disable' : '--enable', '--no-sync',
		'-D', $node->data_dir);
	$node->start;
	return 1;
}

sub toggle_hints
{
	my ($world) = @_;
	toggle($world, 'wal_log_hints');
	$world->{node}->restart;
	return 1;
}

sub toggle_summaries
{
	my ($world) = @_;
	toggle($world, 'summarize_wal');
	$world->{node}->reload;
	return 1;
}

sub toggle_full_pages
{
	my ($world) = @_;
	toggle($world, 'full_page_writes');
	$world->{node}->reload;
	return 1;
}

sub toggle
{
	my ($world, $setting) = @_;
	my $node = $world->{node};
	my $new = $node->safe_psql('postgres', "SHOW $setting") eq 'on' ? 'off' : 'on';
	note("$setting = $new");
	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = $new");
	return;
}

# What is made in a table of the same transaction is then not in the WAL.
sub minimal_for_a_while
{
	my ($world) = @_;
	my $node = $world->{node};
	my $summaries = $node->pg_version >= 17 ? $node->safe_psql('postgres', 'SHOW summarize_wal') : undef;
	note('wal_level = minimal for a while');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET wal_level = minimal');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET max_wal_senders = 0');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET summarize_wal = off') if defined $summaries;
	$node->restart;
	$node->safe_psql('postgres', <<'SQL');
BEGIN; TRUNCATE busy; INSERT INTO busy SELECT * FROM rows_of(0, 2000, 2); COMMIT;
SQL
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET wal_level');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_wal_senders');
	$node->safe_psql('postgres', "ALTER SYSTEM SET summarize_wal = $summaries") if defined $summaries;
	$node->restart;
	return 1;
}

# At the place and under the name of the old one. False while there is something in it.
sub new_tablespace
{
	my ($world) = @_;
	my $node = $world->{node};
	my $name = 's' . $world->{random}->below(3);
	# Those in place have a relative one.
	my $location = $node->safe_psql('postgres',
		"SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = '$name'");
	$location = '' if $location !~ m{^/};
	my ($output, $error) = ('', '');
	$node->psql('postgres', "DROP TABLESPACE $name", stdout => \$output, stderr => \$error);
	return 0 if $error =~ /is not empty/;
	is($error, '', "tablespace $name is dropped");
	$node->safe_psql('postgres', "CREATE TABLESPACE $name LOCATION '$location'");
	return 1;
}

# One that others may refer to.
sub drop_backup
{
	my ($world) = @_;
	my @backups = @{ $world->{backups} };
	return 0 if @backups < 2;
	my $place = $world->{random}->below(scalar(@backups) - 1);
	my $backup_id = $backups[$place];
	note("drops $backup_id");
	$world->{node}->safe_psql('postgres', "SELECT backup_drop('$backup_id')");
	splice(@{ $world->{backups} }, $place, 1);
	$world->{later} = [ grep { $_->{backup_id} ne $backup_id } @{ $world->{later} } ];
	return 1;
}

sub end_prepared
{
	my ($world) = @_;
	my $node = $world->{node};
	my $name = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts ORDER BY gid LIMIT 1');
	return 0 if $name eq '';
	my $end = $world->{random}->one_of('COMMIT', 'ROLLBACK');
	$node->safe_psql('postgres', "$end PREPARED '$name'");
	return 1;
}

1;
