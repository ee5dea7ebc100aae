// Whether the newest good backup is as young as the schedule promises.
#include "promise_watch.h"

#include "base/clock.h"
#include "policy/overdue.h"

#include "guard.h"
#include "postgres_headers.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kWarningPause = 60 * kMinute;

}  // namespace

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

void WarnOfBrokenPromise(const Settings& settings, Microseconds newest) {
  static Microseconds last_warning = 0;
  const Microseconds now = MonotonicNow();
  const std::string broken = DescribeBrokenPromise(settings, newest);
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
