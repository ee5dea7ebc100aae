# Who may call what: the grants of doc/operations.md as they stand there, each function, each role.
use strict;
use warnings;
use BackupExtTest qw(take_backup);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BackupExtTest::new_node('main');
my $backup_id = take_backup($node);

my $page = slurp_file('doc/operations.md');
my ($grants) = $page =~ /^## Roles\n.*?```\n(CREATE ROLE backup_monitor.*?)```/ms;
ok($grants, 'doc/operations.md has the grants');
$node->safe_psql('postgres', "$grants; CREATE ROLE mona LOGIN IN ROLE backup_monitor; CREATE ROLE nobody LOGIN");

# function => [ call, may the monitor, may the operator ]. Calls do nothing, or fail for another
# reason than the permission.
my %functions = (
	backup_list => [ 'SELECT count(*) FROM backup_list()', 1, 1 ],
	backup_progress => [ 'SELECT count(*) FROM backup_progress()', 1, 1 ],
	backup_status => [ 'SELECT count(*) FROM backup_status()', 1, 1 ],
	backup_check => [ 'SELECT count(*) FROM backup_check()', 1, 1 ],
	backup_history => [ 'SELECT count(*) FROM backup_history()', 1, 1 ],
	backup_staged => [ 'SELECT count(*) FROM backup_staged()', 1, 1 ],
	backup_now => [ q{SELECT backup_now(kind => 'none')}, 0, 1 ],
	backup_cancel => [ q{SELECT backup_cancel('none')}, 0, 1 ],
	backup_verify => [ q{SELECT * FROM backup_verify('none')}, 0, 1 ],
	backup_pin => [ q{SELECT backup_pin('none')}, 0, 1 ],
	backup_unpin => [ q{SELECT backup_unpin('none')}, 0, 1 ],
	backup_stage_restore => [ q{SELECT backup_stage_restore('none')}, 0, 1 ],
	backup_discard_stage => [ q{SELECT backup_discard_stage('none')}, 0, 1 ],
	backup_export => [ q{SELECT backup_export('none', 'x')}, 0, 1 ],
	backup_expire => [ 'SELECT * FROM backup_expire(dry_run => true)', 0, 0 ],
	backup_drop => [ q{SELECT backup_drop('none')}, 0, 0 ],
	backup_cron => [ q{SELECT backup_cron('* * * * *')}, 0, 0 ],
	backup_cron_remove => [ 'SELECT backup_cron_remove()', 0, 0 ]);

my $all = $node->safe_psql('postgres', q{SELECT string_agg(proname, ' ' ORDER BY proname COLLATE "C")
	FROM pg_proc WHERE probin LIKE '%backup_ext'});
is($all, join(' ', sort keys %functions), 'every function is in this table');

foreach my $function (sort keys %functions)
{
	my ($call, $monitor, $operator) = @{ $functions{$function} };
	foreach my $case ([ nobody => 0 ], [ mona => $monitor ], [ olga => $operator ], [ '' => 1 ])
	{
		my ($role, $allowed) = @$case;
		my ($status, $out, $err) = $node->psql('postgres',
			"\\set VERBOSITY verbose\n" . ($role eq '' ? '' : "SET ROLE $role;") . $call);
		my $denied = $err =~ /ERROR:  42501: permission denied for function \Q$function\E$/m ? 1 : 0;
		is($denied, 1 - $allowed, ($role || 'a superuser') . ($allowed ? ' may' : ' may not') . " call $function()");
	}
}

# What a monitor reads says how it is, and is not cut.
is($node->safe_psql('postgres', q{SET ROLE mona; SELECT backup_id FROM backup_list()}), $backup_id,
	'a monitor reads the list');
is($node->safe_psql('postgres', q{SET ROLE mona; SELECT last_success_id FROM backup_status()}), $backup_id,
	'the status');
is($node->safe_psql('postgres', q{SET ROLE mona; SELECT result FROM backup_history()}), 'succeeded',
	'and the history');
# Nothing more: no setting with a path, no data, no file.
foreach my $setting (qw(repository staging_directory event_command))
{
	my ($status, $out, $err) = $node->psql('postgres', "SET ROLE mona; SHOW backup_ext.$setting");
	like($err, qr/must be superuser|permission denied/, "a monitor may not read backup_ext.$setting");
}
my ($status, $out, $err) = $node->psql('postgres', q{SET ROLE mona; ALTER SYSTEM SET backup_ext.enabled = off});
like($err, qr/permission denied/, 'nor set anything');

# An operator takes a backup, restores it below the staging directory only, and discards it.
my $second = $node->safe_psql('postgres', q{SET ROLE olga; SELECT backup_now(label => 'by olga')});
is($node->safe_psql('postgres', q{SELECT label FROM backup_list() LIMIT 1}), 'by olga', 'an operator takes a backup');
my $stage = $node->safe_psql('postgres',
	q{SET ROLE olga; SELECT backup_stage_restore('latest', 'hers', safety_backup => false)});
is($node->safe_psql('postgres', 'SET ROLE olga; SELECT state FROM backup_staged()'), 'ready', 'restores it');
$node->safe_psql('postgres', "SET ROLE olga; SELECT backup_discard_stage('$stage')");
is($node->safe_psql('postgres', 'SET ROLE olga; SELECT count(*) FROM backup_staged()'), '0', 'and discards it');
BackupExtTest::fails_with($node, q{SET ROLE olga; SELECT backup_stage_restore('latest', '/srv/elsewhere')},
	'42501', 'permission denied to restore into directory', undef, 'an operator names no path');

done_testing();
