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

std::optional<Microseconds> NextRun(const ScheduleState& state, const CalendarView& calendar) {
  const bool runs_here =
      state.enabled && state.repository_set && WhyNotHere(state.run_on, state.in_recovery).empty();
  if (!runs_here) return std::nullopt;
  const std::optional<Microseconds> now_or_soon = RunOfThisWindow(state);
  if (now_or_soon && (!calendar.open_until || *now_or_soon < *calendar.open_until)) {
    return now_or_soon;
  }
  return calendar.next_opens_at;
}

}  // namespace backup_ext
