// What the launcher expects.
#include "schedule_outlook.h"

#include "policy/next_run.h"

#include "guard.h"
#include "postgres_headers.h"
#include "shared_state.h"
#include "timestamp.h"

namespace backup_ext {

void PublishNextRun(const ScheduleSettings& settings, const ScheduleState& state) {
  const auto next = NextRun(state, OwnOpeningsAround(settings, state.now));
  const TimestampTz next_run_at = next ? ToTimestamp(*next) : 0;
  SharedState* const shared = GetSharedState();
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->next_run_at = next_run_at;
    LWLockRelease(shared->lock);
  });
}

}  // namespace backup_ext
