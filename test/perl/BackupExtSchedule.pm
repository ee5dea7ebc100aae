# What the tests of the launcher and of the automatic backup share.
#
#   use BackupExtSchedule;
#   configure($node, 'backup_ext.enabled' => 'on', 'backup_ext.window' => window_around($node));
#   launcher_says($node, qr/^the last good backup began/, 'a backup is there');
package BackupExtSchedule;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(configure window window_around launcher_pid launcher_says launcher_after
  wait_until log_position log_since count_in_log backups start_slow_backup);

# Dies when $condition does not come true. No test by itself.
sub wait_until
{
	my ($condition, $what) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($condition->())
	{
		die "waited too long: $what" if time() > $end;
		usleep(100_000);
	}
	return;
}

# Settings by ALTER SYSTEM, one after the other, then a reload, which makes the launcher look again.
# undef resets.
sub configure
{
	my ($node, @settings) = @_;
	while (my ($name, $value) = splice(@settings, 0, 2))
	{
		$value =~ s/'/''/g if defined $value;
		# "window" is a reserved word of SQL.
		$name =~ s/(\w+)$/"$1"/;
		$node->safe_psql('postgres',
			defined $value ? "ALTER SYSTEM SET $name = '$value'" : "ALTER SYSTEM RESET $name");
	}
	$node->reload;
	return;
}

# A window from and until so far from now, in the server's time zone or the given one.
sub window
{
	my ($node, $from, $until, $zone) = @_;
	my $now = defined $zone ? "now() AT TIME ZONE '$zone'" : 'now()';
	return $node->safe_psql('postgres', qq{SELECT to_char($now + '$from', 'HH24:MI') || '-' ||
		to_char($now + '$until', 'HH24:MI')});
}

sub window_around
{
	my ($node, $zone) = @_;
	return window($node, '-1 hour', '1 hour', $zone);
}

# Empty while there is none.
sub launcher_pid
{
	my ($node) = @_;
	my ($status, $pid) = $node->psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'backup_ext launcher'});
	return $status == 0 ? $pid : '';
}

# Waits until the launcher's last look gave this reason, as backup_check() tells it.
sub launcher_says
{
	my ($node, $reason, $what) = @_;
	my $detail = '';
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (time() < $end)
	{
		$detail = $node->safe_psql('postgres',
			q{SELECT status || '|' || detail FROM backup_check() WHERE name = 'launcher'});
		$detail =~ s/running with PID \d+; //;
		last if $detail =~ $reason;
		usleep(100_000);
	}
	return like($detail, $reason, $what);
}

# Waits for a launcher that is not $old_pid, and returns its PID. The server may be starting.
sub launcher_after
{
	my ($node, $old_pid, $what) = @_;
	my $pid = '';
	wait_until(
		sub { $pid = launcher_pid($node); return $pid ne '' && $pid ne $old_pid },
		"$what: a new launcher");
	pass("$what: a new launcher");
	return $pid;
}

sub log_position
{
	my ($node) = @_;
	return -s $node->logfile;
}

sub log_since
{
	my ($node, $position) = @_;
	return substr(slurp_file($node->logfile), $position);
}

sub count_in_log
{
	my ($node, $pattern, $position) = @_;
	my @found = log_since($node, $position // 0) =~ /$pattern/g;
	return scalar(@found);
}

# 'trigger state' of every backup in the list, newest first, a line each.
sub backups
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{SELECT trigger || ' ' || state FROM backup_list()});
}

# A backup that takes long enough to do something to it. backup_ext.max_rate is low already.
sub start_slow_backup
{
	my ($node) = @_;
	my $backup_id = $node->safe_psql('postgres', 'SELECT backup_now(wait => false)');
	$node->poll_query_until('postgres', q{SELECT phase = 'copying files' FROM backup_progress()})
	  or die 'the backup does not copy';
	return $backup_id;
}

1;
