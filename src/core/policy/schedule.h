// Whether an automatic backup is due: a pure decision on plain values.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "base/clock.h"

namespace backup_ext {

// Which server of a replicated pair runs the schedule (backup_ext.run_on).
enum class RunOn { kPrimary, kStandby, kAny };
// Empty when a server in this state runs it, else why not.
[[nodiscard]] std::string WhyNotHere(RunOn run_on, bool in_recovery);

struct ScheduleState {
  bool enabled = false;
  bool repository_set = false;
  RunOn run_on = RunOn::kPrimary;
  bool in_recovery = false;
  bool catch_up = true;
  bool window_open = false;
  bool backup_running = false;
  Microseconds now = 0;
  Microseconds window_opened_at = 0;  // the newest opening (calendar.h), closed since or not
  // The window may have been missed before this: the server was down, or another one ran the
  // schedule.
  Microseconds up_since = 0;
  // When the schedule was switched on or moved while the server ran; 0: before. No window before
  // that was missed.
  Microseconds scheduled_since = 0;
  Microseconds last_success = 0;  // start of the newest good backup, NewestSuccess(); 0: none
  Microseconds last_failure = 0;  // end of the newest failed automatic run; 0: none
  int failures_of_window = 0;     // in a row, of the runs that this opening asked for
  Microseconds last_cancel = 0;   // when somebody ended an automatic run; 0: nobody did
  Microseconds last_crash = 0;    // when the server ran again after its last crash; 0: none
  int crashes = 0;                // since the server was started
  Microseconds last_cut_off = 0;  // when a run was ended by its window; 0: none was
  // When a run found another writer in the repository; 0: none did.
  Microseconds last_locked_out = 0;
};

struct ScheduleDecision {
  bool run = false;
  std::string because;  // always set, for the log and for backup_check()
};

// Each opening of a window asks for one backup: it is due until a good one has begun since. Whoever
// asked for that one: it counts. A failed run is tried again inside the window after 1, 2, 4, ...
// minutes, at most 30; when the window closes it is left for the next one. A crash of the server
// pauses in the same way: the backup may have been its cause (memory, say), and must not keep the
// server down. Who cancels a run does not want it in this window: it is left alone until the next
// one opens. A window that passed while the server was down is made up for outside of it
// (`catch_up`).
[[nodiscard]] ScheduleDecision DecideAutomaticBackup(const ScheduleState& state);
// The window has closed, and what was tried in it has failed: the backup stays due.
[[nodiscard]] bool HasWindowFailed(const ScheduleState& state);
// Whether the answer depends on `last_success`: only then is the catalog worth reading.
[[nodiscard]] bool NeedsLastSuccess(const ScheduleState& state);
[[nodiscard]] Microseconds RetryPause(int failures_in_a_row);

// A time further in the future than this is of a clock that was wrong, or is wrong now. Less may be
// a clock that was put right a little.
inline constexpr Microseconds kBelievedFuture = 4LL * 3600 * kMicrosecondsPerSecond;

// The latest of `starts` that is not too far in the future to be believed; 0: none. What once was
// too far in the future stays in `*of_another_clock`, and never counts: else a clock that was set
// back by a day would skip the nights that it sees for the second time.
[[nodiscard]] Microseconds NewestSuccess(std::span<const Microseconds> starts, Microseconds now,
                                         std::set<Microseconds>* of_another_clock);

}  // namespace backup_ext
