// Whether an automatic backup is due: a pure decision on plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/clock.h"

namespace backup_ext {

struct ScheduleState {
  bool enabled = false;
  bool repository_set = false;
  bool in_recovery = false;  // a standby runs no schedule
  bool window_open = false;
  bool backup_running = false;
  Microseconds now = 0;
  Microseconds window_opened_at = 0;  // when the window that is open now opened
  Microseconds last_success = 0;      // start of the newest good backup, NewestSuccess(); 0: none
  Microseconds last_failure = 0;      // end of the newest failed automatic run; 0: none
  int failures_in_a_row = 0;
  Microseconds last_cancel = 0;  // when somebody ended an automatic run; 0: nobody did
  Microseconds last_crash = 0;   // when the server ran again after its last crash; 0: none
  int crashes = 0;               // since the server was started
};

struct ScheduleDecision {
  bool run = false;
  std::string because;  // always set, for the log and for backup_check()
};

// Due when no good backup began less than `kBackupDueAfter` ago. A failed run is tried again after
// 1, 2, 4, ... minutes, at most 30. A crash of the server pauses in the same way: the backup may
// have been its cause (memory, say), and must not keep the server down. Who cancels a run does not
// want it in this window: it is left alone until the next one opens. A clock that went back (a
// success in the future) counts as no reason to skip for longer than a day.
inline constexpr Microseconds kBackupDueAfter = 20LL * 3600 * kMicrosecondsPerSecond;
// A success further in the future than this would make the wait longer than a day: not believed.
inline constexpr Microseconds kBelievedFuture =
    24LL * 3600 * kMicrosecondsPerSecond - kBackupDueAfter;
[[nodiscard]] ScheduleDecision DecideAutomaticBackup(const ScheduleState& state);
[[nodiscard]] Microseconds RetryPause(int failures_in_a_row);

// The latest of `starts` that is not too far in the future to be believed; 0: none. Were the
// latest of all used, a backup made while the clock was wrong by a year would be the newest for a
// year, and the schedule would start one backup after the other all that time.
[[nodiscard]] Microseconds NewestSuccess(std::span<const Microseconds> starts, Microseconds now);

}  // namespace backup_ext
