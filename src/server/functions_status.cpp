// SQL: backup_status, backup_history.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "store/catalog.h"
#include "store/notes.h"

#include "boundary.h"
#include "cluster_state.h"
#include "function_arguments.h"
#include "guard.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "result_set.h"
#include "run_history.h"
#include "settings.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr Microseconds kErrorsSince = 30LL * 24 * 3600 * kMicrosecondsPerSecond;

struct Status {
  Microseconds window_opens_at = 0;
  Microseconds next_run_at = 0;
  Microseconds last_success_at = 0;
  std::string last_success_id;
  std::string last_error;
  Microseconds last_error_at = 0;
  Microseconds recoverable_from = 0;
  Microseconds recoverable_until = 0;
  std::optional<int64_t> wal_lag_bytes;
  std::optional<uint64_t> repository_bytes;
  std::optional<uint64_t> repository_free_bytes;
};

// Where the WAL ends now: what was written here, or on a standby replayed.
uint64_t CurrentLsn() {
  XLogRecPtr lsn = 0;
  CallPostgres(
      [&] { lsn = RecoveryInProgress() ? GetXLogReplayRecPtr(nullptr) : GetXLogWriteRecPtr(); });
  return lsn;
}

void FillFromLauncher(Status* status) {
  SharedState* const shared = GetSharedState();
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_SHARED);
    const bool is_open = shared->window_closes_at != 0;
    status->window_opens_at =
        FromTimestamp(is_open ? shared->window_opened_at : shared->window_opens_at);
    status->next_run_at = FromTimestamp(shared->next_run_at);
    LWLockRelease(shared->lock);
  });
}

void FillFromRepository(Status* status) {
  const Repository repository = OpenOwnRepository();
  for (const BackupRecord& record : ReadCatalog(repository).backups) {
    if (record.state != "complete") continue;
    if (IsFoundDamaged(ReadNotes(repository, record.backup_id))) continue;
    // Newest first: the first one is the newest, the last one the oldest.
    status->recoverable_from = record.finished_at;
    if (!status->last_success_id.empty()) continue;
    status->last_success_id = record.backup_id;
    status->last_success_at = record.finished_at;
    status->recoverable_until = record.finished_at;
    const auto lag = static_cast<int64_t>(CurrentLsn() - record.stop_lsn);
    status->wal_lag_bytes = std::max<int64_t>(lag, 0);
  }
  uint64_t bytes = 0;
  for (const ObjectInfo& object : repository.store().List("")) bytes += object.size_bytes;
  status->repository_bytes = bytes;
  status->repository_free_bytes = repository.store().FreeBytes();
}

void FillLastError(Status* status, std::string* problem) {
  for (const RunReport& run : RunsSince(Now() - kErrorsSince, problem)) {
    // What somebody asked of a restore says nothing of the backups' health.
    if (run.operation == "restore" || run.result == "succeeded" || run.result == "canceled")
      continue;
    status->last_error = run.error;
    status->last_error_at = run.finished_at;
    return;
  }
}

// A repository that cannot be read is the newest error, and no reason not to answer.
Status ReadStatus(const Settings& settings) {
  Status status;
  FillFromLauncher(&status);
  std::string problem;
  FillLastError(&status, &problem);
  if (settings.repository.empty()) return status;
  try {
    FillFromRepository(&status);
  } catch (const Error& error) {
    problem = error.message();
    if (error.code() == ErrorCode::kNoRepository) {
      // Before the first backup that is as it should be.
      std::string unreadable_memory;
      if (!Remembers(ReadOwnMemory(&unreadable_memory), settings.repository)) problem.clear();
    }
  }
  if (!problem.empty()) {
    status.last_error = problem;
    status.last_error_at = Now();
  }
  return status;
}

SqlValue BytesOrNull(const std::optional<uint64_t>& bytes) {
  if (!bytes) return SqlNull{};
  return static_cast<int64_t>(*bytes);
}

void ShowStatus(FunctionCallInfo call) {
  const Settings settings = CurrentSettings();
  ResultSet rows(call);
  const Status status = ReadStatus(settings);
  rows.Add({settings.enabled, TimeOrNull(status.window_opens_at), TimeOrNull(status.next_run_at),
            TimeOrNull(status.last_success_at), TextOrNull(status.last_success_id),
            TextOrNull(status.last_error), TimeOrNull(status.last_error_at),
            TimeOrNull(status.recoverable_from), TimeOrNull(status.recoverable_until),
            status.wal_lag_bytes ? SqlValue(*status.wal_lag_bytes) : SqlValue(SqlNull{}),
            TextOrNull(settings.repository), BytesOrNull(status.repository_bytes),
            BytesOrNull(status.repository_free_bytes)});
}

SqlRow HistoryRow(const RunReport& run) {
  return {run.job_id,
          TextOrNull(run.operation),
          TextOrNull(run.kind),
          TextOrNull(run.trigger),
          TextOrNull(run.backup_id),
          TextOrNull(run.stage_id),
          TextOrNull(run.label),
          run.result,
          TimeOrNull(run.started_at),
          TimeOrNull(run.finished_at),
          SqlInterval{run.finished_at - run.started_at},
          static_cast<int64_t>(run.database_bytes),
          static_cast<int64_t>(run.stored_bytes),
          static_cast<int64_t>(run.freed_bytes),
          static_cast<int64_t>(run.files),
          TextOrNull(run.error),
          TextOrNull(run.hint),
          TextOrNull(run.host)};
}

void ListHistory(FunctionCallInfo call, Microseconds since) {
  ResultSet rows(call);
  std::string problem;
  for (const RunReport& run : RunsSince(since, &problem)) rows.Add(HistoryRow(run));
  if (problem.empty()) return;
  const char* const text = problem.c_str();
  CallPostgres([&] {
    ereport(WARNING, (errmsg("the history in the repository is missing here: %s", text),
                      errdetail("Shown are runs that are not in the repository yet.")));
  });
}

// PostgreSQL's side of the border. NULL is from the beginning.
Microseconds Since(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0)) return 0;
  const TimestampTz since = DatumGetTimestampTz(
      DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
                          PointerGetDatum(PG_GETARG_INTERVAL_P(0))));
  return Max(FromTimestamp(since), 0);
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_status);
PG_FUNCTION_INFO_V1(backup_ext_backup_history);

Datum backup_ext_backup_status(PG_FUNCTION_ARGS) {
  backup_ext::RequirePreloaded();
  backup_ext::Enter([fcinfo] { backup_ext::ShowStatus(fcinfo); });
  return 0;
}

Datum backup_ext_backup_history(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const Microseconds since = Since(fcinfo);
  Enter([fcinfo, since] { ListHistory(fcinfo, since); });
  return 0;
}

}  // extern "C"
