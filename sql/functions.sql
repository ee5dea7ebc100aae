-- What CREATE EXTENSION makes: names, arguments, columns and who may call them.
CREATE EXTENSION backup_ext;
\pset format unaligned
\pset tuples_only on
SELECT p.proname || E'\n  ' || replace(pg_get_function_arguments(p.oid), ', ', E'\n  ')
       || E'\nreturns ' || pg_get_function_result(p.oid)
  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'backup_ext')
 ORDER BY p.proname COLLATE "C";
\pset format aligned
\pset tuples_only off

-- EXECUTE is revoked from PUBLIC on every one.
SELECT count(*) AS open_to_public
  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'backup_ext')
   AND (p.proacl IS NULL OR has_function_privilege('public', p.oid, 'EXECUTE'));
CREATE ROLE regress_backup_nobody;
SET ROLE regress_backup_nobody;
SELECT backup_now();
SELECT * FROM backup_list();
SELECT * FROM backup_progress();
SELECT backup_cancel('x');
SELECT * FROM backup_expire();
SELECT * FROM backup_expire(dry_run => true);
SELECT backup_drop('x');
SELECT backup_pin('x');
SELECT backup_unpin('x');
SELECT backup_stage_restore();
SELECT * FROM backup_staged();
SELECT backup_discard_stage('x');
SELECT * FROM backup_check();
SELECT backup_export('latest', 'x');
SELECT * FROM backup_verify();
RESET ROLE;
DROP ROLE regress_backup_nobody;
DROP EXTENSION backup_ext;
