// The schedule, as the launcher sees it at each look.
#pragma once

#include <set>
#include <string>

#include "base/clock.h"
#include "policy/schedule.h"

namespace backup_ext {

// What is remembered from one look to the next.
struct ScheduleMemory {
  // Start of the newest good backup that was seen, 0: none. A reload forgets it.
  Microseconds seen_success = 0;
  std::set<Microseconds> of_another_clock;
  std::string schedule;  // what was scheduled; empty: before the first look
  bool runs_here = false;
  Microseconds reported_window = 0;  // the newest opening whose failure was told
  Microseconds looked_at = 0;        // by the clock
};

// Start of the newest good backup that the clock allows, 0 where there is none or no repository
// yet. Reads the catalog; throws Error.
[[nodiscard]] Microseconds NewestGoodBackup(Microseconds now, ScheduleMemory* memory);

// Everything that the decision needs. Reads the repository's catalog where it matters, publishes
// the window to shared memory. Throws Error.
[[nodiscard]] ScheduleState ViewSchedule(ScheduleMemory* memory);

// A WARNING, once for each window that closed without a good backup after runs that failed.
void TellFailedWindow(const ScheduleState& state, ScheduleMemory* memory);

// Whether somebody else on this machine writes to the repository: another server of the pair, or a
// backup_expire().
[[nodiscard]] bool IsRepositoryLocked();

}  // namespace backup_ext
