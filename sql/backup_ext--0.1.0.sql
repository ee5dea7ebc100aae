-- backup_ext 0.1.0: the SQL functions. See doc/reference.md.
\echo Use "CREATE EXTENSION backup_ext" to load this file. \quit

CREATE FUNCTION backup_now(label text DEFAULT NULL, kind text DEFAULT 'auto',
    include_media boolean DEFAULT false, wait boolean DEFAULT true)
RETURNS text AS 'MODULE_PATHNAME', 'backup_ext_backup_now'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_cancel(job_id text)
RETURNS boolean AS 'MODULE_PATHNAME', 'backup_ext_backup_cancel'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION backup_list(OUT backup_id text, OUT label text, OUT kind text, OUT trigger text,
    OUT state text, OUT started_at timestamptz, OUT finished_at timestamptz,
    OUT duration interval, OUT database_bytes bigint, OUT media_bytes bigint,
    OUT stored_bytes bigint, OUT start_lsn pg_lsn, OUT stop_lsn pg_lsn, OUT timeline integer,
    OUT server_version text, OUT pinned_until timestamptz, OUT expires_at timestamptz,
    OUT kept_because text, OUT verified_at timestamptz, OUT verify_result text, OUT error text,
    OUT full_because text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_list'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION backup_pin(backup_id text, until timestamptz DEFAULT 'infinity')
RETURNS void AS 'MODULE_PATHNAME', 'backup_ext_backup_pin'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_unpin(backup_id text)
RETURNS void AS 'MODULE_PATHNAME', 'backup_ext_backup_unpin'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_drop(backup_id text, force boolean DEFAULT false)
RETURNS void AS 'MODULE_PATHNAME', 'backup_ext_backup_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_expire(dry_run boolean DEFAULT false, OUT backup_id text, OUT action text,
    OUT because text, OUT freed_bytes bigint)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_expire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_progress(OUT job_id text, OUT pid integer, OUT operation text,
    OUT backup_id text, OUT phase text, OUT bytes_done bigint, OUT bytes_total bigint,
    OUT files_done bigint, OUT files_total bigint, OUT percent double precision,
    OUT bytes_per_second bigint, OUT started_at timestamptz, OUT eta timestamptz,
    OUT throttled_because text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION backup_status(OUT enabled boolean, OUT window_opens_at timestamptz,
    OUT next_run_at timestamptz, OUT last_success_at timestamptz, OUT last_success_id text,
    OUT last_error text, OUT last_error_at timestamptz, OUT recoverable_from timestamptz,
    OUT recoverable_until timestamptz, OUT wal_lag_bytes bigint, OUT repository text,
    OUT repository_bytes bigint, OUT repository_free_bytes bigint)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_status'
LANGUAGE C VOLATILE ROWS 1 PARALLEL RESTRICTED;

CREATE FUNCTION backup_history(since interval DEFAULT '30 days', OUT job_id text,
    OUT operation text, OUT kind text, OUT trigger text, OUT backup_id text, OUT stage_id text,
    OUT label text, OUT result text, OUT started_at timestamptz, OUT finished_at timestamptz,
    OUT duration interval, OUT database_bytes bigint, OUT stored_bytes bigint,
    OUT freed_bytes bigint, OUT files bigint, OUT error text, OUT hint text, OUT host text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_history'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION backup_check(OUT name text, OUT status text, OUT detail text, OUT hint text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_check'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION backup_stage_restore(backup_id text DEFAULT 'latest', directory text DEFAULT NULL,
    target_time timestamptz DEFAULT NULL, target_lsn pg_lsn DEFAULT NULL,
    target_xid text DEFAULT NULL, target_name text DEFAULT NULL,
    target_timeline text DEFAULT NULL, include_media boolean DEFAULT false,
    safety_backup boolean DEFAULT true, tablespace_map jsonb DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS text AS 'MODULE_PATHNAME', 'backup_ext_backup_stage_restore'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_staged(OUT stage_id text, OUT directory text, OUT backup_id text,
    OUT target text, OUT state text, OUT staged_at timestamptz, OUT bytes bigint,
    OUT safety_backup_id text, OUT start_command text, OUT activate_command text, OUT hint text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_staged'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION backup_discard_stage(stage_id text)
RETURNS void AS 'MODULE_PATHNAME', 'backup_ext_backup_discard_stage'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_export(backup_id text, directory text, format text DEFAULT 'plain')
RETURNS void AS 'MODULE_PATHNAME', 'backup_ext_backup_export'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_verify(backup_id text DEFAULT 'latest', OUT path text, OUT problem text,
    OUT offset_bytes bigint)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'backup_ext_backup_verify'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_cron(schedule text, name text DEFAULT 'backup_ext', kind text DEFAULT 'auto',
    include_media boolean DEFAULT false)
RETURNS bigint AS 'MODULE_PATHNAME', 'backup_ext_backup_cron'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION backup_cron_remove(name text DEFAULT 'backup_ext')
RETURNS boolean AS 'MODULE_PATHNAME', 'backup_ext_backup_cron_remove'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- An administrator grants them one by one: doc/operations.md has sets for an operator and a monitor.
REVOKE ALL ON FUNCTION backup_now(text, text, boolean, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_cancel(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_list() FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_pin(text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_unpin(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_drop(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_expire(boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_progress() FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_status() FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_history(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_check() FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_stage_restore(text, text, timestamptz, pg_lsn, text, text, text,
    boolean, boolean, jsonb, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_staged() FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_discard_stage(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_export(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_verify(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_cron(text, text, text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION backup_cron_remove(text) FROM PUBLIC;
