// What the launcher expects: when the next automatic backup begins.
#pragma once

#include "policy/schedule.h"

#include "schedule_settings.h"

namespace backup_ext {

// Puts it where backup_status() finds it.
void PublishNextRun(const ScheduleSettings& settings, const ScheduleState& state);

}  // namespace backup_ext
