// The settings of the schedule.
#include "schedule_settings.h"

#include <fmt/format.h>

#include "base/error.h"

#include "boundary.h"
#include "postgres_headers.h"
#include "setting_checks.h"
#include "time_zone.h"

namespace backup_ext {
namespace {

constexpr const char* kDefaultWindow = "02:00-05:00";

char* setting_window = nullptr;
char* setting_timezone = nullptr;
int setting_window_end = static_cast<int>(WindowEnd::kContinue);
bool setting_catch_up = true;
int setting_run_on = static_cast<int>(RunOn::kPrimary);

const struct config_enum_entry kWindowEnds[] = {
    {"continue", static_cast<int>(WindowEnd::kContinue), false},
    {"throttle", static_cast<int>(WindowEnd::kThrottle), false},
    {"cancel", static_cast<int>(WindowEnd::kCancel), false},
    {nullptr, 0, false}};

const struct config_enum_entry kRunOns[] = {{"primary", static_cast<int>(RunOn::kPrimary), false},
                                            {"standby", static_cast<int>(RunOn::kStandby), false},
                                            {"any", static_cast<int>(RunOn::kAny), false},
                                            {nullptr, 0, false}};

bool CheckWindow(char** new_value, void** /*extra*/, GucSource /*source*/) {
  PlainError error;
  const bool fine = RunCatchingAll(
      [&] {
        const WindowText text = ParseWindows(*new_value);
        if (text.valid) return;
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("invalid window \"{}\": {}", *new_value, text.problem), {},
                    "Write it as HH:MM-HH:MM, with days before it where they differ, for example "
                    "'02:00-05:00' or 'Mon-Fri 02:00-05:00, Sat,Sun 00:00-08:00'.");
      },
      &error);
  return fine || RefuseSetting(error);
}

bool CheckTimezone(char** new_value, void** /*extra*/, GucSource /*source*/) {
  const char* const value = *new_value;
  if (value == nullptr || value[0] == '\0') return true;
  PlainError error;
  const bool fine = RunCatchingAll(
      [&] {
        const std::string problem = PostgresZone::WhyNotUsable(value);
        if (problem.empty()) return;
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("invalid timezone \"{}\": {}", value, problem), {},
                    "SELECT name FROM pg_timezone_names lists the names; leave it empty for the "
                    "server's time zone.");
      },
      &error);
  return fine || RefuseSetting(error);
}

}  // namespace

void DefineScheduleSettings() {
  DefineCustomStringVariable(
      "backup_ext.window", "When an automatic backup may begin.",
      "HH:MM-HH:MM, several with commas, days before the times; may cross midnight.",
      &setting_window, kDefaultWindow, PGC_SIGHUP, 0, CheckWindow, nullptr, nullptr);
  DefineCustomStringVariable("backup_ext.timezone", "Time zone of the window.",
                             "Empty means the time zone of the server.", &setting_timezone, "",
                             PGC_SIGHUP, 0, CheckTimezone, nullptr, nullptr);
  DefineCustomEnumVariable("backup_ext.window_end",
                           "What happens to a backup that is running when its window closes.",
                           nullptr, &setting_window_end, setting_window_end, kWindowEnds,
                           PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable(
      "backup_ext.catch_up", "Makes up for a window that was missed because the server was down.",
      nullptr, &setting_catch_up, true, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable(
      "backup_ext.run_on", "Which server of a replicated pair takes the automatic backups.",
      nullptr, &setting_run_on, setting_run_on, kRunOns, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

ScheduleSettings CurrentScheduleSettings() {
  ScheduleSettings settings;
  settings.window_text = setting_window != nullptr ? setting_window : kDefaultWindow;
  settings.windows = ParseWindows(settings.window_text).windows;
  if (setting_timezone != nullptr) settings.timezone = setting_timezone;
  settings.window_end = static_cast<WindowEnd>(setting_window_end);
  settings.catch_up = setting_catch_up;
  settings.run_on = static_cast<RunOn>(setting_run_on);
  return settings;
}

CalendarView ViewOwnCalendar(const ScheduleSettings& settings, Microseconds now) {
  return ViewCalendar(settings.windows, PostgresZone(settings.timezone), now);
}

}  // namespace backup_ext
