// SQL: backup_cron, backup_cron_remove. PostgreSQL's side of the border: nothing here owns
// anything.
#include <string>

#include "backup_arguments.h"
#include "boundary.h"
#include "function_arguments.h"
#include "jobs.h"
#include "postgres_headers.h"

namespace backup_ext {
namespace {

// Raises an error that says what to do where pg_cron is missing in this database.
void RequirePgCron() {
  if (OidIsValid(get_extension_oid("pg_cron", true))) return;
  const char* const here = get_database_name(MyDatabaseId);
  const char* const home = GetConfigOption("cron.database_name", true, false);
  const char* hint =
      "Install the package, add pg_cron to shared_preload_libraries, set cron.database_name, "
      "restart the server and run CREATE EXTENSION pg_cron. Without it, backup_ext takes one "
      "backup in each backup_ext.window by itself.";
  if (home != nullptr && strcmp(home, here) == 0) hint = "Run CREATE EXTENSION pg_cron.";
  if (home != nullptr && strcmp(home, here) != 0) {
    hint = psprintf(
        "pg_cron keeps its jobs in database \"%s\" (cron.database_name): create backup_ext and "
        "pg_cron there, and call the function there.",
        home);
  }
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("pg_cron is not installed in database \"%s\"", here), errhint("%s", hint)));
}

const char* RequireText(FunctionCallInfo fcinfo, int number, const char* name) {
  const char* const text = TextArgument(fcinfo, number);
  if (text != nullptr) return text;
  ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

// The first column of the first row of a query with text parameters.
Datum QueryOne(const char* query, int count, const char* const* texts) {
  Oid types[3];
  Datum values[3];
  for (int i = 0; i < count; i++) {
    types[i] = TEXTOID;
    values[i] = CStringGetTextDatum(texts[i]);
  }
  if (SPI_execute_with_args(query, count, types, values, nullptr, false, 1) != SPI_OK_SELECT ||
      SPI_processed != 1) {
    elog(ERROR, "query of pg_cron returned no row: %s", query);
  }
  bool is_null = false;
  return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_cron);
PG_FUNCTION_INFO_V1(backup_ext_backup_cron_remove);

// schedule, name, kind, include_media
Datum backup_ext_backup_cron(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const schedule = RequireText(fcinfo, 0, "schedule");
  const char* const name = RequireText(fcinfo, 1, "name");
  const char* const kind = PG_ARGISNULL(2) ? "auto" : TextArgument(fcinfo, 2);
  const bool include_media = BoolArgument(fcinfo, 3, false);
  // Now, and not in a log that somebody reads after a week without backups.
  Enter([&] { CheckBackupArguments(kind, include_media); });
  RequirePgCron();
  const char* const schema =
      quote_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)));
  const char* const command =
      psprintf("SELECT %s.backup_now(label => 'pg_cron', kind => %s, include_media => %s)", schema,
               quote_literal_cstr(kind), include_media ? "true" : "false");
  const char* const texts[] = {name, schedule, command};
  SPI_connect();
  const int64 job = DatumGetInt64(QueryOne("SELECT cron.schedule($1, $2, $3)::bigint", 3, texts));
  SPI_finish();
  PG_RETURN_INT64(job);
}

Datum backup_ext_backup_cron_remove(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const texts[] = {RequireText(fcinfo, 0, "name")};
  RequirePgCron();
  SPI_connect();
  const bool is_there = DatumGetBool(
      QueryOne("SELECT EXISTS (SELECT 1 FROM cron.job WHERE jobname::text OPERATOR(pg_catalog.=) $1"
               " AND username OPERATOR(pg_catalog.=) CURRENT_USER::text)",
               1, texts));
  const bool removed = is_there && DatumGetBool(QueryOne("SELECT cron.unschedule($1)", 1, texts));
  SPI_finish();
  PG_RETURN_BOOL(removed);
}

}  // extern "C"
