// Whether the newest good backup is as young as the schedule promises.
#include "promise_watch.h"

#include <algorithm>

#include "base/clock.h"
#include "policy/overdue.h"
#include "policy/schedule.h"

#include "guard.h"
#include "postgres_headers.h"
#include "shared_state.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kWarningPause = 60 * kMinute;

}  // namespace

std::string DescribeBrokenPromise(const Settings& settings, Microseconds newest) {
  SharedState* const shared = GetSharedState();
  PromiseState state;
  bool in_recovery = false;
  CallPostgres([&] {
    in_recovery = RecoveryInProgress();
    if (shared == nullptr) return;  // not preloaded
    LWLockAcquire(shared->lock, LW_SHARED);
    state.window_opened_at = FromTimestamp(shared->window_opened_at);
    state.window_open = shared->window_closes_at != 0;
    state.promised_since =
        FromTimestamp(std::max({PgStartTime, shared->up_since, shared->scheduled_since}));
    LWLockRelease(shared->lock);
  });
  state.promised = settings.enabled && !settings.repository.empty() &&
                   WhyNotHere(settings.schedule.run_on, in_recovery).empty();
  state.now = Now();
  state.last_success = newest;
  return BrokenPromise(state);
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
