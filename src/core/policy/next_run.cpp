// When the next automatic backup is to be expected.
#include "policy/next_run.h"

#include <algorithm>

namespace backup_ext {

std::optional<Microseconds> NextRun(const ScheduleState& state, std::span<const Opening> openings) {
  if (!state.enabled || !state.repository_set || state.in_recovery) return std::nullopt;
  const bool clock_went_back = state.last_success > state.now + kBelievedFuture;
  const bool any_success = state.last_success > 0 && !clock_went_back;
  const Microseconds due_at = any_success ? state.last_success + kBackupDueAfter : state.now;
  const Microseconds retry_at =
      state.last_failure > 0 ? state.last_failure + RetryPause(state.failures_in_a_row) : state.now;
  for (const Opening& opening : openings) {
    const bool is_cancelled = state.last_cancel > 0 && state.last_cancel >= opening.opens_at &&
                              state.last_cancel < opening.closes_at;
    const Microseconds at = std::max({state.now, opening.opens_at, due_at, retry_at});
    if (!is_cancelled && at < opening.closes_at) return at;
  }
  return std::nullopt;
}

}  // namespace backup_ext
