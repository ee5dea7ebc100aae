# A stage of a server that subscribes to another one does not subscribe: neither beside that server, nor while it
# is down and its slot is free for whoever comes.
use strict;
use warnings;
use BackupExtTest qw(new_node take_backup stage start_stage stop_stage staged_psql wait_for);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
# Who is refused tries again at once.
my $subscriber = new_node('subscriber', conf => { wal_retrieve_retry_interval => '50ms' });
$_->safe_psql('postgres', 'CREATE TABLE t (i int PRIMARY KEY)') foreach ($publisher, $subscriber);
$publisher->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(1, 1000)');
$publisher->safe_psql('postgres', 'CREATE PUBLICATION of_t FOR TABLE t');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION to_t CONNECTION '" . ($publisher->connstr('postgres') =~ s{'}{''}gr) . "' PUBLICATION of_t");
wait_for($subscriber, q{SELECT count(*) = 1 FROM pg_subscription_rel WHERE srsubstate = 'r'},
	'the subscriber has what there is');
$publisher->wait_for_catchup('to_t');

my $backup_id = take_backup($subscriber);
my $stage = stage($subscriber, $backup_id);
my $user = user_of_slot();
like($user, qr/^\d+$/, 'the subscriber uses its slot');
my $copy = start_stage($stage);
is(staged_psql($copy, 'postgres', 'SELECT subenabled FROM pg_subscription'), 't',
	'the copy has the subscription');
is(staged_psql($copy, 'postgres', 'SHOW max_logical_replication_workers'), '0', 'and no worker for it');

publish(1001, 'while the copy runs');
is(user_of_slot(), $user, 'the slot is used by who used it before');
does_not_subscribe('while the copy runs');

$subscriber->stop;
wait_for($publisher, q{SELECT count(*) = 1 FROM pg_replication_slots WHERE NOT active}, 'the slot is free');
$publisher->safe_psql('postgres', 'INSERT INTO t VALUES (1002)');
does_not_subscribe('while the subscriber is down');
$subscriber->start;
is_published(1002, 'after the subscriber was down');
publish(1003, 'after the subscriber was down');
does_not_subscribe('after the subscriber was down');
stop_stage($copy);
publish(1004, 'after the copy was stopped');

sub user_of_slot
{
	return $publisher->safe_psql('postgres',
		q{SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'to_t'});
}

sub publish
{
	my ($i, $what) = @_;
	$publisher->safe_psql('postgres', "INSERT INTO t VALUES ($i)");
	is_published($i, $what);
	return;
}

sub is_published
{
	my ($i, $what) = @_;
	wait_for($subscriber, "SELECT count(*) = 1 FROM t WHERE i = $i", "$what: the subscriber gets what is new");
	return;
}

sub does_not_subscribe
{
	my ($what) = @_;
	is(staged_psql($copy, 'postgres',
			q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'logical replication%'}),
		'0', "$what: no logical replication worker in the copy");
	is(staged_psql($copy, 'postgres', 'SELECT count(*), max(i) FROM t'), '1000|1000',
		"$what: the copy is as the backup was");
	return;
}

done_testing();
