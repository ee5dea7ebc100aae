-- The functions of the test module. Those with "naive" in their name do it wrong on purpose.
\echo Use "CREATE EXTENSION backup_ext_border" to load this file. \quit

-- guard_calls.cpp
CREATE FUNCTION border_live_frames() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION border_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION border_naive_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION border_int4in(text) RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION border_nested_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION border_error_after_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION border_state_after_error(how text) RETURNS text
  AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION border_call_with_pending(what text, how text) RETURNS text
  AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION border_call_from_thread() RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C;

-- catch_all_calls.cpp
CREATE FUNCTION border_throw(what text) RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION border_naive_throw(what text) RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION border_heap_growth(how text, errors int) RETURNS bigint
  AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- pause_point_worker.cpp
CREATE FUNCTION border_start_worker(loop text) RETURNS int
  AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- Runs a statement that is expected to fail and returns all that its error said, in one line.
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text; context text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS OR query_canceled THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  context := regexp_replace(context, '(SQL statement|PL/pgSQL function)[^\n]*', '\1', 'g');
  RETURN concat_ws('|', state, message, detail, hint, replace(context, E'\n', '; '));
END
$$;
