// Decides whether an automatic backup begins now, and says why.
#include "policy/schedule.h"

#include <algorithm>

#include <fmt/format.h>

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kFirstPause = kMinute;
constexpr Microseconds kLongestPause = 30 * kMinute;

// 45 s, 12 min, 3 h 5 min, 2 d 4 h: what a person wants to know, rounded down.
std::string Span(Microseconds length) {
  const int64_t seconds = length / kMicrosecondsPerSecond;
  const int64_t minutes = seconds / 60;
  const int64_t hours = minutes / 60;
  if (minutes == 0) return fmt::format("{} s", seconds);
  if (hours == 0) return fmt::format("{} min", minutes);
  if (hours < 48) return fmt::format("{} h {} min", hours, minutes % 60);
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

ScheduleDecision Skip(std::string because) { return {.run = false, .because = std::move(because)}; }
ScheduleDecision Run(std::string because) { return {.run = true, .because = std::move(because)}; }

// 0 when the pause after the last of `count` events is over, or there was none. An event in the
// future is believed for as long as a pause lasts, like one in the past.
Microseconds PauseLeft(Microseconds last, int count, Microseconds now) {
  if (last == 0) return 0;
  const Microseconds pause = RetryPause(count);
  const Microseconds since = now - last;
  return std::max(since, -since) < pause ? pause - since : 0;
}

// A cancel in the future is believed for as long as one in the past could matter.
bool WasCancelledInThisWindow(const ScheduleState& state) {
  constexpr Microseconds kDay = 24 * 60 * kMinute;
  return state.last_cancel > 0 && state.last_cancel >= state.window_opened_at &&
         state.last_cancel - state.now < kDay;
}

// What forbids every automatic run at this moment; empty when nothing does.
std::string Obstacle(const ScheduleState& state) {
  if (!state.enabled) return "automatic backups are switched off (backup_ext.enabled)";
  if (!state.repository_set) return "backup_ext.repository is not set";
  if (state.in_recovery) return "the server is in recovery";
  if (state.backup_running) return "a backup is running";
  if (!state.window_open) return "the window is closed";
  return {};
}

}  // namespace

Microseconds RetryPause(int failures_in_a_row) {
  if (failures_in_a_row <= 0) return 0;
  Microseconds pause = kFirstPause;
  for (int i = 1; i < failures_in_a_row && pause < kLongestPause; ++i) pause *= 2;
  return std::min(pause, kLongestPause);
}

Microseconds NewestSuccess(std::span<const Microseconds> starts, Microseconds now) {
  Microseconds newest = 0;
  for (const Microseconds start : starts) {
    if (start <= now + kBelievedFuture) newest = std::max(newest, start);
  }
  return newest;
}

ScheduleDecision DecideAutomaticBackup(const ScheduleState& state) {
  if (std::string obstacle = Obstacle(state); !obstacle.empty()) return Skip(std::move(obstacle));

  std::string due = "there is no good backup yet";
  if (state.last_success > 0) {
    const Microseconds age = state.now - state.last_success;
    if (age < -kBelievedFuture) {
      due = fmt::format("the last good backup began {} in the future: the clock went back",
                        Span(-age));
    } else if (age < 0) {
      return Skip(fmt::format("the last good backup began {} in the future: the clock went back",
                              Span(-age)));
    } else {
      const std::string when = fmt::format("the last good backup began {} ago", Span(age));
      if (age < kBackupDueAfter) return Skip(when);
      due = when;
    }
  }

  if (WasCancelledInThisWindow(state)) {
    return Skip("the last run was cancelled, next try when the window opens again");
  }
  if (const Microseconds left = PauseLeft(state.last_failure, state.failures_in_a_row, state.now)) {
    return Skip(fmt::format("the last run failed, next try in {}", Span(left)));
  }
  if (const Microseconds left = PauseLeft(state.last_crash, state.crashes, state.now)) {
    return Skip(fmt::format("the server crashed, next try in {}", Span(left)));
  }
  return Run(std::move(due));
}

}  // namespace backup_ext
