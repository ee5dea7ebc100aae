// When the next automatic backup is to be expected: a pure decision on plain values.
#pragma once

#include <optional>

#include "base/clock.h"
#include "policy/calendar.h"
#include "policy/schedule.h"

namespace backup_ext {

// When DecideAutomaticBackup() will say so, as things are: nothing when this server runs no
// schedule. `calendar` as of ViewCalendar() at `state.now`, which is the answer when it is due
// already.
[[nodiscard]] std::optional<Microseconds> NextRun(const ScheduleState& state,
                                                  const CalendarView& calendar);

}  // namespace backup_ext
