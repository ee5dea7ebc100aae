// SQL: backup_progress.
#include <string>

#include "base/clock.h"

#include "boundary.h"
#include "guard.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "progress_view.h"
#include "result_set.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

SqlValue CountOrNull(uint64_t count) {
  if (count == 0) return SqlNull{};
  return static_cast<int64_t>(count);
}

SqlRow ProgressRow(const ProgressView& job) {
  char slowing[128];
  DescribeSlowing(job.slowed_by, slowing, sizeof(slowing));
  SqlRow row = {std::string(job.job_id),
                job.pid == 0 ? SqlValue(SqlNull{}) : SqlValue(static_cast<int32_t>(job.pid)),
                std::string(OperationName(job.kind)),
                TextOrNull(job.backup_id),
                std::string(PhaseName(job.phase)),
                static_cast<int64_t>(job.bytes_done),
                CountOrNull(job.bytes_total),
                static_cast<int64_t>(job.files_done),
                CountOrNull(job.files_total),
                job.percent < 0 ? SqlValue(SqlNull{}) : SqlValue(job.percent),
                static_cast<int64_t>(job.bytes_per_second),
                TimeOrNull(FromTimestamp(job.started_at)),
                SqlNull{},
                TextOrNull(slowing)};
  if (job.left_seconds >= 0) {
    row[12] = SqlTime{Now() + job.left_seconds * kMicrosecondsPerSecond};
  }
  return row;
}

void ListProgress(FunctionCallInfo call) {
  ResultSet rows(call);
  for (int i = 0; i < kMaxJobs; i++) {
    ProgressView job;
    bool live = false;
    CallPostgres([&] { live = ViewProgress(i, &job); });
    if (live) rows.Add(ProgressRow(job));
  }
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_progress);

Datum backup_ext_backup_progress(PG_FUNCTION_ARGS) {
  backup_ext::RequirePreloaded();
  backup_ext::Enter([fcinfo] { backup_ext::ListProgress(fcinfo); });
  return 0;
}

}  // extern "C"
