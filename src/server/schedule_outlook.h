// What the launcher expects: when the window opens, and when the next automatic backup begins.
#pragma once

#include <vector>

#include "policy/next_run.h"
#include "policy/schedule.h"

#include "settings.h"

namespace backup_ext {

// The openings of the window from the one before `now` to a week ahead, in the time zone of this
// process. Times that daylight saving skips are moved as PostgreSQL does.
[[nodiscard]] std::vector<Opening> OpeningsAround(const Settings& settings, Microseconds now);

// Puts it where backup_status() finds it.
void PublishOutlook(const Settings& settings, const ScheduleState& state);

}  // namespace backup_ext
