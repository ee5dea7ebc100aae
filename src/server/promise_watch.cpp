// Whether the newest good backup is as young as the schedule promises.
#include "promise_watch.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "policy/overdue.h"
#include "store/repository.h"

#include "guard.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kLookPause = 15 * kMinute;
constexpr Microseconds kWarningPause = 60 * kMinute;

Microseconds NewestGoodStartNow() {
  try {
    return NewestGoodStart(ReadCatalog(OpenOwnRepository()));
  } catch (const Error& error) {
    // Before the first backup there is no repository.
    if (error.code() != ErrorCode::kNoRepository) throw;
    return 0;
  }
}

}  // namespace

Microseconds NewestGoodStart(const Catalog& catalog) {
  Microseconds newest = 0;
  for (const BackupRecord& record : catalog.backups) {
    if (record.state == "complete") newest = std::max(newest, record.started_at);
  }
  return newest;
}

std::string DescribeBrokenPromise(const Settings& settings, Microseconds newest) {
  bool in_recovery = false;
  CallPostgres([&] { in_recovery = RecoveryInProgress(); });
  return BrokenPromise(
      {.promised = settings.enabled && !settings.repository.empty() && !in_recovery,
       .now = Now(),
       .last_success = newest,
       .promised_since = FromTimestamp(PgStartTime),
       .longest_gap = 24 * 60 * kMinute});
}

void WarnOfBrokenPromise(const Settings& settings, Microseconds* next_look) {
  static Microseconds last_warning = 0;
  const Microseconds now = MonotonicNow();
  if (!settings.enabled || settings.repository.empty() || now < *next_look) return;
  bool is_running = false;
  CallPostgres([&] { is_running = BackupIsRunning(); });
  if (is_running) return;
  // Before what may fail: a repository that cannot be read is not asked all the time.
  *next_look = now + kLookPause;
  const std::string broken = DescribeBrokenPromise(settings, NewestGoodStartNow());
  if (broken.empty()) last_warning = 0;
  if (broken.empty() || (last_warning != 0 && now - last_warning < kWarningPause)) return;
  last_warning = now;
  const char* const text = broken.c_str();
  CallPostgres([&] {
    ereport(WARNING, (errmsg("backup_ext: no backup for too long: %s", text),
                      errhint("SELECT * FROM backup_check() and backup_history() say why; SELECT "
                              "backup_now() takes one.")));
  });
}

}  // namespace backup_ext
