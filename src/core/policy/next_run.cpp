// When the next automatic backup is to be expected.
#include "policy/next_run.h"

#include <algorithm>

namespace backup_ext {
namespace {

// When the pause after the last of `count` events is over; `now` where there is none.
Microseconds PauseEnd(Microseconds last, int count, Microseconds now) {
  const Microseconds pause = RetryPause(count);
  return last == 0 ? now : std::clamp(last + pause, now, now + pause);
}

// Whether the newest opening still asks for one, and when it can have it.
std::optional<Microseconds> RunOfThisWindow(const ScheduleState& state) {
  ScheduleState without_pauses = state;
  without_pauses.last_failure = without_pauses.last_crash = without_pauses.last_locked_out = 0;
  if (!DecideAutomaticBackup(without_pauses).run) return std::nullopt;
  return std::max({PauseEnd(state.last_failure, state.failures_of_window, state.now),
                   PauseEnd(state.last_crash, state.crashes, state.now),
                   PauseEnd(state.last_locked_out, 1, state.now)});
}

}  // namespace

std::optional<Microseconds> NextRun(const ScheduleState& state, std::span<const Opening> openings) {
  const bool runs_here =
      state.enabled && state.repository_set && WhyNotHere(state.run_on, state.in_recovery).empty();
  if (!runs_here) return std::nullopt;
  Microseconds closes_at = 0;  // 0: no window is open
  Microseconds next_opens_at = 0;
  for (const Opening& opening : openings) {
    if (opening.opens_at > state.now) {
      if (next_opens_at == 0) next_opens_at = opening.opens_at;
    } else if (opening.closes_at > state.now) {
      closes_at = std::max(closes_at, opening.closes_at);
    }
  }
  const std::optional<Microseconds> now_or_soon = RunOfThisWindow(state);
  if (now_or_soon && (!state.window_open || *now_or_soon < closes_at)) return now_or_soon;
  if (next_opens_at == 0) return std::nullopt;
  return next_opens_at;
}

}  // namespace backup_ext
