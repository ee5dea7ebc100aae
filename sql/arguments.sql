-- Arguments that cannot be: each a clear error, nothing done.
CREATE EXTENSION backup_ext;
SHOW backup_ext.repository;
SELECT backup_now();
SELECT backup_now(kind => 'incremental');
SELECT backup_now(kind => 'differential');
SELECT backup_now(include_media => true);
SELECT backup_list();
SELECT backup_stage_restore();
SELECT backup_stage_restore('yesterday');
SELECT backup_stage_restore('latest', target_time => now());
SELECT backup_stage_restore('latest', target_lsn => '0/1');
SELECT backup_stage_restore('latest', include_media => true);
SELECT backup_stage_restore('latest', tablespace_map => '{}');
SELECT backup_stage_restore('latest', directory => 'a/b');
SELECT backup_cancel('job-00000000-000000-00000000');
SELECT backup_cancel(NULL);
SELECT count(*) FROM backup_progress();
SELECT count(*) FROM backup_staged();
SELECT backup_discard_stage('nonsense');
SELECT backup_discard_stage('stage-20260101-000000-00000000');
SELECT backup_discard_stage(NULL);
SELECT name, status FROM backup_check() WHERE name IN ('preloaded', 'launcher', 'wal_level', 'repository')
 ORDER BY name COLLATE "C";
DROP EXTENSION backup_ext;
