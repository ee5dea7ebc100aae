// When the next automatic backup is to be expected: a pure decision on plain values.
#pragma once

#include <optional>
#include <span>

#include "base/clock.h"
#include "policy/calendar.h"
#include "policy/schedule.h"

namespace backup_ext {

// When DecideAutomaticBackup() will say so, as things are: nothing when this server runs no
// schedule. `openings` as of OpeningsAround(); `state.now` when it is due already.
[[nodiscard]] std::optional<Microseconds> NextRun(const ScheduleState& state,
                                                  std::span<const Opening> openings);

}  // namespace backup_ext
