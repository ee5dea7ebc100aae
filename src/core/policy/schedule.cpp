// Decides whether an automatic backup begins now, and says why.
#include "policy/schedule.h"

#include <fmt/format.h>

#include <algorithm>

namespace backup_ext {
namespace {

constexpr Microseconds kFirstPause = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kLongestPause = 30 * kFirstPause;

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
  constexpr Microseconds kOneDay = 24 * 3600 * kMicrosecondsPerSecond;
  return state.last_cancel > 0 && state.last_cancel >= state.window_opened_at &&
         state.last_cancel - state.now < kOneDay;
}

// What forbids every automatic run at this moment; empty when nothing does.
std::string Obstacle(const ScheduleState& state) {
  if (!state.enabled) return "automatic backups are switched off (backup_ext.enabled)";
  if (!state.repository_set) return "backup_ext.repository is not set";
  if (std::string because = WhyNotHere(state.run_on, state.in_recovery); !because.empty()) {
    return because;
  }
  if (state.backup_running) return "a backup is running";
  return {};
}

// The newest window opened while nobody could have used it.
bool PassedWhileDown(const ScheduleState& state) {
  return state.window_opened_at < state.up_since && state.window_opened_at >= state.scheduled_since;
}

bool MayBeMadeUp(const ScheduleState& state) { return state.catch_up && PassedWhileDown(state); }

std::string SuccessText(const ScheduleState& state) {
  if (state.last_success == 0) return "there is no good backup yet";
  const Microseconds age = state.now - state.last_success;
  if (age >= 0) return fmt::format("the last good backup began {} ago", Span(age));
  return fmt::format("the last good backup began {} in the future: the clock went back",
                     Span(-age));
}

ScheduleDecision DecideOutsideOfWindow(const ScheduleState& state) {
  if (HasWindowFailed(state)) {
    return Skip("the window is closed, and its backup failed: the next one takes it");
  }
  if (state.last_cut_off > 0 && state.last_cut_off >= state.window_opened_at) {
    return Skip("the window is closed, and cut its backup off: the next one goes on with it");
  }
  if (PassedWhileDown(state) && !state.catch_up) {
    return Skip("the window is closed; one that was missed is not made up (backup_ext.catch_up)");
  }
  return Skip("the window is closed");
}

}  // namespace

std::string WhyNotHere(RunOn run_on, bool in_recovery) {
  if (run_on == RunOn::kPrimary && in_recovery) {
    return "the server is in recovery, and backup_ext.run_on is primary";
  }
  if (run_on == RunOn::kStandby && !in_recovery) {
    return "the server is not in recovery, and backup_ext.run_on is standby";
  }
  return {};
}

Microseconds RetryPause(int failures_in_a_row) {
  if (failures_in_a_row <= 0) return 0;
  Microseconds pause = kFirstPause;
  for (int i = 1; i < failures_in_a_row && pause < kLongestPause; ++i) pause *= 2;
  return std::min(pause, kLongestPause);
}

Microseconds NewestSuccess(std::span<const Microseconds> starts, Microseconds now,
                           std::set<Microseconds>* of_another_clock) {
  Microseconds newest = 0;
  for (const Microseconds start : starts) {
    if (start > now + kBelievedFuture) {
      of_another_clock->insert(start);
    } else if (!of_another_clock->contains(start)) {
      newest = std::max(newest, start);
    }
  }
  return newest;
}

bool HasWindowFailed(const ScheduleState& state) {
  return !state.window_open && state.failures_of_window > 0;
}

bool NeedsLastSuccess(const ScheduleState& state) {
  return Obstacle(state).empty() && (state.window_open || MayBeMadeUp(state));
}

ScheduleDecision DecideAutomaticBackup(const ScheduleState& state) {
  if (std::string obstacle = Obstacle(state); !obstacle.empty()) return Skip(std::move(obstacle));
  if (!state.window_open && !MayBeMadeUp(state)) return DecideOutsideOfWindow(state);

  // A success a little in the future is believed: the clock was put right.
  const bool is_served = state.last_success > 0 && state.last_success >= state.window_opened_at &&
                         state.last_success - state.now <= kBelievedFuture;
  if (is_served) return Skip(SuccessText(state));
  if (WasCancelledInThisWindow(state)) {
    return Skip("the last run was cancelled, next try when the window opens again");
  }
  if (const Microseconds left =
          PauseLeft(state.last_failure, state.failures_of_window, state.now)) {
    return Skip(fmt::format("the last run failed, next try in {}", Span(left)));
  }
  if (const Microseconds left = PauseLeft(state.last_crash, state.crashes, state.now)) {
    return Skip(fmt::format("the server crashed, next try in {}", Span(left)));
  }
  if (const Microseconds left = PauseLeft(state.last_locked_out, 1, state.now)) {
    return Skip(fmt::format("another server writes to the repository, next try in {}", Span(left)));
  }
  if (state.window_open) return Run(SuccessText(state));
  return Run(fmt::format("the window that opened {} ago was missed: {}",
                         Span(state.now - state.window_opened_at), SuccessText(state)));
}

}  // namespace backup_ext
