// When the next automatic backup is to be expected: a pure decision on plain values.
#pragma once

#include <optional>
#include <span>

#include "base/clock.h"
#include "policy/schedule.h"

namespace backup_ext {

// One time that a window is open.
struct Opening {
  Microseconds opens_at = 0;
  Microseconds closes_at = 0;
};

// When DecideAutomaticBackup() will say so, as things are: nothing when automatic backups are off,
// there is no repository, the server is in recovery, or none of `openings` (sorted; the one that is
// open now is among them) is late enough. `state.now` when it is due already.
[[nodiscard]] std::optional<Microseconds> NextRun(const ScheduleState& state,
                                                  std::span<const Opening> openings);

}  // namespace backup_ext
