// The settings of the schedule: window, timezone, window_end, catch_up, run_on.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/calendar.h"
#include "policy/pace.h"
#include "policy/schedule.h"
#include "policy/window.h"

namespace backup_ext {

struct ScheduleSettings {
  std::vector<Window> windows;  // at least one
  std::string window_text;
  std::string timezone;  // of the windows; empty: the server's
  WindowEnd window_end = WindowEnd::kContinue;
  bool catch_up = true;
  RunOn run_on = RunOn::kPrimary;
};

// Called once from DefineSettings().
void DefineScheduleSettings();
[[nodiscard]] ScheduleSettings CurrentScheduleSettings();

// In PostgreSQL's own database of time zones. With no `timezone` set that is the one of this
// process, so a session's own where it has set one: the launcher's is the server's. Main thread.
[[nodiscard]] CalendarView ViewOwnCalendar(const ScheduleSettings& settings, Microseconds now);

}  // namespace backup_ext
