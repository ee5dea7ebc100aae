// When windows open and close, over whole years, where the clocks are moved.
#include "policy/calendar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/schedule.h"
#include "system_zone.h"

namespace backup_ext {
namespace {

constexpr Microseconds kSecond = kMicrosecondsPerSecond;
constexpr Microseconds kMinute = 60 * kSecond;
constexpr Microseconds kHour = 60 * kMinute;
constexpr Microseconds kDay = 24 * kHour;

// `2026-03-29 01:00:00`, UTC.
Microseconds Utc(std::string text) {
  text[10] = 'T';
  return ParseTime(text + ".000000Z");
}

std::string UtcText(Microseconds time) {
  std::string text = FormatTime(time).substr(0, 19);
  text[10] = ' ';
  return text;
}

std::string LocalText(const Zone& zone, Microseconds time) {
  return UtcText(time + zone.OffsetAt(time / kSecond) * kSecond);
}

// Read once: that takes longer than most tests.
const SystemZone& ZoneNamed(const std::string& name) {
  static std::map<std::string, SystemZone> zones;
  return zones.try_emplace(name, name).first->second;
}

std::vector<Window> Windows(std::string_view text) {
  const WindowText read = ParseWindows(text);
  EXPECT_TRUE(read.valid) << text << ": " << read.problem;
  return read.windows;
}

struct OpeningRow {
  std::string_view name;
  const char* zone;
  std::string_view windows;
  std::string now, opens_at, closes_at;  // UTC, of the newest opening
};

TEST(Calendar, OpensOnceWhateverTheClocksDo) {
  const OpeningRow rows[] = {
      {"an ordinary night", "Europe/Berlin", "02:00-05:00", "2026-06-01 12:00:00",
       "2026-06-01 00:00:00", "2026-06-01 03:00:00"},
      {"the start is skipped: after the gap", "Europe/Berlin", "02:00-05:00", "2026-03-29 12:00:00",
       "2026-03-29 01:00:00", "2026-03-29 03:00:00"},
      {"the end is skipped", "Europe/Berlin", "01:00-02:30", "2026-03-29 12:00:00",
       "2026-03-29 00:00:00", "2026-03-29 01:00:00"},
      {"skipped as a whole: its length after the gap", "Europe/Berlin", "02:15-02:45",
       "2026-03-29 12:00:00", "2026-03-29 01:00:00", "2026-03-29 01:30:00"},
      {"the start comes twice: the first counts", "Europe/Berlin", "02:30-05:00",
       "2026-10-25 12:00:00", "2026-10-25 00:30:00", "2026-10-25 04:00:00"},
      {"all of it comes twice: once", "Europe/Berlin", "02:00-02:30", "2026-10-25 12:00:00",
       "2026-10-25 00:00:00", "2026-10-25 00:30:00"},
      {"the end comes with the change", "Europe/Berlin", "01:00-03:00", "2026-10-25 12:00:00",
       "2026-10-24 23:00:00", "2026-10-25 02:00:00"},
      {"across midnight, and longer by the hour", "America/Los_Angeles", "22:00-06:00",
       "2026-11-01 20:00:00", "2026-11-01 05:00:00", "2026-11-01 14:00:00"},
      {"half an hour of daylight saving", "Australia/Lord_Howe", "01:45-02:15",
       "2026-04-05 12:00:00", "2026-04-04 14:45:00", "2026-04-04 15:45:00"},
      {"half an hour is skipped", "Australia/Lord_Howe", "02:10-02:20", "2026-10-04 12:00:00",
       "2026-10-03 15:30:00", "2026-10-03 15:40:00"},
      {"quarters of an hour", "Asia/Kathmandu", "02:00-05:00", "2026-06-01 12:00:00",
       "2026-05-31 20:15:00", "2026-05-31 23:15:00"},
      {"midnight is skipped", "America/Sao_Paulo", "00:00-00:30", "2018-11-04 12:00:00",
       "2018-11-04 03:00:00", "2018-11-04 03:30:00"},
      {"a day is skipped: the one before it", "Pacific/Apia", "02:00-05:00", "2011-12-30 11:59:59",
       "2011-12-29 12:00:00", "2011-12-29 15:00:00"},
      {"a day is skipped: the one after it", "Pacific/Apia", "02:00-05:00", "2011-12-30 12:00:00",
       "2011-12-30 12:00:00", "2011-12-30 15:00:00"},
      {"a skipped Friday has no window", "Pacific/Apia", "Fri 02:00-05:00", "2012-01-05 11:59:59",
       "2011-12-23 12:00:00", "2011-12-23 15:00:00"},
      {"into a skipped day", "Pacific/Apia", "22:00-04:00", "2011-12-30 20:00:00",
       "2011-12-30 08:00:00", "2011-12-30 10:00:00"},
      {"the newest of several", "UTC", "02:00-05:00, 14:00-15:00", "2026-06-01 14:30:00",
       "2026-06-01 14:00:00", "2026-06-01 15:00:00"},
      {"days of the week: on a Saturday", "UTC", "Mon-Fri 02:00-05:00, Sat,Sun 00:00-08:00",
       "2026-11-28 12:00:00", "2026-11-28 00:00:00", "2026-11-28 08:00:00"},
      {"days of the week: on a Monday before it opens", "UTC",
       "Mon-Fri 02:00-05:00, Sat,Sun 00:00-08:00", "2026-11-30 01:59:59", "2026-11-29 00:00:00",
       "2026-11-29 08:00:00"},
      {"a day is that of the opening", "UTC", "Sun 22:00-04:00", "2026-11-30 03:00:00",
       "2026-11-29 22:00:00", "2026-11-30 04:00:00"},
      {"before 1970", "UTC", "02:00-05:00", "1969-12-31 01:00:00", "1969-12-30 02:00:00",
       "1969-12-30 05:00:00"},
  };
  for (const OpeningRow& row : rows) {
    const SystemZone& zone = ZoneNamed(row.zone);
    const CalendarView view = ViewCalendar(Windows(row.windows), zone, Utc(row.now));
    EXPECT_EQ(UtcText(view.last.opens_at), row.opens_at) << row.name;
    EXPECT_EQ(UtcText(view.last.closes_at), row.closes_at) << row.name;
    const bool is_open = Utc(row.now) < Utc(row.closes_at);
    EXPECT_EQ(view.open_until.has_value(), is_open) << row.name;
  }
}

TEST(Calendar, OverlappingWindowsCloseWithTheLast) {
  const SystemZone& zone = ZoneNamed("UTC");
  const auto windows = Windows("Fri 22:00-04:00, Sat 00:00-01:00");
  const CalendarView view = ViewCalendar(windows, zone, Utc("2026-11-28 02:00:00"));
  EXPECT_EQ(UtcText(view.last.opens_at), "2026-11-28 00:00:00");
  ASSERT_TRUE(view.open_until.has_value());
  EXPECT_EQ(UtcText(*view.open_until), "2026-11-28 04:00:00");
  EXPECT_EQ(UtcText(view.next_opens_at), "2026-12-04 22:00:00");
}

TEST(Calendar, LeadsFromOpeningToOpening) {
  const SystemZone& zone = ZoneNamed("Europe/Berlin");
  const auto windows = Windows("Sun 02:15-02:45, Mon 04:00-05:00");
  Microseconds opens_at = ViewCalendar(windows, zone, Utc("2026-03-22 12:00:00")).last.opens_at;
  std::vector<std::string> found = {UtcText(opens_at)};
  while (found.size() < 5) {
    opens_at = ViewCalendar(windows, zone, opens_at).next_opens_at;
    found.push_back(UtcText(opens_at));
  }
  const std::vector<std::string> expected = {"2026-03-22 01:15:00", "2026-03-23 03:00:00",
                                             "2026-03-29 01:00:00", "2026-03-30 02:00:00",
                                             "2026-04-05 00:15:00"};
  EXPECT_EQ(found, expected);
}

TEST(Calendar, ZonesOfTheTestsMoveTheirClocks) {
  EXPECT_GT(ZoneNamed("Europe/Berlin").changes(), 30U);
  EXPECT_GT(ZoneNamed("America/Los_Angeles").changes(), 30U);
  EXPECT_GT(ZoneNamed("Australia/Lord_Howe").changes(), 30U);
  EXPECT_EQ(ZoneNamed("Asia/Kathmandu").changes(), 0U);
  EXPECT_GT(ZoneNamed("Pacific/Apia").changes(), 5U);
}

constexpr const char* kZones[] = {"Europe/Berlin",    "America/Los_Angeles", "Australia/Lord_Howe",
                                  "Asia/Kathmandu",   "Pacific/Apia",        "America/Sao_Paulo",
                                  "Africa/Casablanca"};

// The slow, obvious model: one look a minute at the local clock. Outside of the days on which
// clocks are moved the calendar must say the same.
TEST(Calendar, AgreesWithTheLocalClockOverYears) {
  struct Text {
    std::string_view text;
    int opens, closes;  // minutes of the day
  };
  const Text texts[] = {{"02:00-05:00", 120, 300}, {"22:30-04:00", 1350, 240}};
  for (const char* name : kZones) {
    const SystemZone& zone = ZoneNamed(name);
    for (const Text& text : texts) {
      const auto windows = Windows(text.text);
      for (Microseconds now = Utc("2011-12-01 00:00:00"); now < Utc("2013-01-01 00:00:00");
           now += 17 * kMinute) {
        const int64_t seconds = now / kSecond;
        const auto change = zone.NextChange(seconds - 2 * kDay / kSecond);
        if (change && *change < seconds + 2 * kDay / kSecond) continue;
        const int64_t minute = (seconds + zone.OffsetAt(seconds)) % 86400 / 60;
        const bool expected = text.opens < text.closes
                                  ? minute >= text.opens && minute < text.closes
                                  : minute >= text.opens || minute < text.closes;
        const CalendarView view = ViewCalendar(windows, zone, now);
        ASSERT_EQ(view.open_until.has_value(), expected) << name << " " << LocalText(zone, now);
        ASSERT_LE(view.last.opens_at, now);
        ASSERT_GT(view.next_opens_at, now);
        ASSERT_EQ(LocalText(zone, view.last.opens_at).substr(11),
                  text.opens == 120 ? "02:00:00" : "22:30:00");
      }
    }
  }
}

// A year of looks, each of which may begin a backup that succeeds at once. Every local day that
// exists has one, whatever the window and the clocks are.
TEST(Calendar, EveryWindowOfAYearHasExactlyOneBackup) {
  const std::string_view texts[] = {"02:00-05:00", "01:30-02:30", "02:10-02:20", "02:00-02:30",
                                    "23:30-00:30", "00:00-24:00", "00:00-00:30", "22:00-21:59"};
  for (const char* name : kZones) {
    const SystemZone& zone = ZoneNamed(name);
    for (const std::string_view text : texts) {
      const auto windows = Windows(text);
      ScheduleState state;
      state.enabled = true;
      state.repository_set = true;
      std::set<std::string> days_with_one;
      std::set<std::string> days;
      const Microseconds end = Utc("2012-03-01 12:00:00");
      state.last_success = Utc("2011-03-01 12:00:00");
      for (state.now = state.last_success; state.now < end; state.now += 10 * kMinute) {
        const CalendarView view = ViewCalendar(windows, zone, state.now);
        state.window_open = view.open_until.has_value();
        state.window_opened_at = view.last.opens_at;
        days.insert(LocalText(zone, state.now).substr(0, 10));
        if (!DecideAutomaticBackup(state).run) continue;
        state.last_success = state.now;
        const std::string day = LocalText(zone, view.last.opens_at).substr(0, 10);
        ASSERT_TRUE(days_with_one.insert(day).second) << name << " " << text << " " << day;
      }
      // The first and the last day may lie outside.
      EXPECT_GE(days_with_one.size() + 2, days.size()) << name << " " << text;
      EXPECT_LE(days_with_one.size(), days.size()) << name << " " << text;
      EXPECT_EQ(days.contains("2011-12-30"), std::string_view(name) != "Pacific/Apia");
    }
  }
}

// Ten nights in Berlin from noon on; looks every minute. `end_run` gets the state with a run that
// began at `now`: when it ends, and what came of it.
struct RunEnd {
  Microseconds at = 0;
  bool is_good = false;
};
std::vector<Microseconds> StartsOfTenNights(std::string_view text,
                                            RunEnd (*end_run)(Microseconds)) {
  const SystemZone& zone = ZoneNamed("Europe/Berlin");
  const auto windows = Windows(text);
  std::vector<Microseconds> starts;
  ScheduleState state;
  state.enabled = true;
  state.repository_set = true;
  RunEnd run;
  Microseconds failed_window = 0;
  const Microseconds begin = Utc("2026-06-01 10:00:00");
  for (state.now = begin; state.now < begin + 10 * kDay; state.now += kMinute) {
    const CalendarView view = ViewCalendar(windows, zone, state.now);
    state.window_open = view.open_until.has_value();
    state.window_opened_at = view.last.opens_at;
    if (failed_window != view.last.opens_at) state.failures_of_window = 0;
    if (state.backup_running && run.at <= state.now) {
      state.backup_running = false;
      if (run.is_good) {
        state.last_success = starts.back();
      } else {
        state.last_failure = run.at;
        ++state.failures_of_window;
        failed_window = view.last.opens_at;
      }
    }
    if (!DecideAutomaticBackup(state).run) continue;
    EXPECT_FALSE(state.backup_running);
    starts.push_back(state.now);
    run = end_run(state.now);
    state.backup_running = true;
  }
  return starts;
}

TEST(Calendar, WindowShorterThanABackupHasOne) {
  const auto starts = StartsOfTenNights("02:00-02:30", [](Microseconds now) {
    return RunEnd{.at = now + 20 * kHour, .is_good = true};
  });
  EXPECT_EQ(starts.size(), 10U);
}

TEST(Calendar, BackupLongerThanADayTakesEverySecondWindow) {
  const auto starts = StartsOfTenNights("02:00-05:00", [](Microseconds now) {
    return RunEnd{.at = now + 30 * kHour, .is_good = true};
  });
  EXPECT_EQ(starts.size(), 5U);
}

TEST(Calendar, FailingRunsAreTriedInsideTheWindowOnly) {
  const auto starts = StartsOfTenNights("02:00-05:00", [](Microseconds now) {
    return RunEnd{.at = now + kMinute, .is_good = false};
  });
  // Nine pauses of 1, 2, 4, 8, 16, 30, 30, 30, 30 minutes, with a minute for each run.
  EXPECT_EQ(starts.size(), 10U * 10);
  for (const Microseconds start : starts) {
    const Microseconds since_midnight = start % kDay;  // 02:00 in Berlin
    EXPECT_LT(since_midnight, 3 * kHour);
  }
}

struct Night {
  int backups = 0;
  Microseconds longest_gap = 0;  // between two, in time that really passed
};

// The clock is set by `step` at 03:10 of the fourth night; ten days pass. Looks every minute.
Night BackupsAroundStep(Microseconds step) {
  const SystemZone& zone = ZoneNamed("Europe/Berlin");
  const auto windows = Windows("02:00-05:00");
  std::set<Microseconds> of_another_clock;
  std::vector<Microseconds> starts = {Utc("2026-06-01 00:00:20")};
  ScheduleState state;
  state.enabled = true;
  state.repository_set = true;
  const Microseconds begin = Utc("2026-06-01 12:00:00");
  const Microseconds step_at = Utc("2026-06-05 01:10:00");
  Night night;
  Microseconds last = begin;
  for (Microseconds real = begin; real < begin + 10 * kDay; real += kMinute) {
    state.now = real + (real >= step_at ? step : 0);
    const CalendarView view = ViewCalendar(windows, zone, state.now);
    state.window_open = view.open_until.has_value();
    state.window_opened_at = view.last.opens_at;
    state.last_success = NewestSuccess(starts, state.now, &of_another_clock);
    if (!DecideAutomaticBackup(state).run) continue;
    ++night.backups;
    starts.push_back(state.now + night.backups);
    night.longest_gap = std::max(night.longest_gap, real - last);
    last = real;
  }
  return night;
}

TEST(Calendar, ClockThatIsSetCostsNoNight) {
  struct Row {
    std::string_view name;
    Microseconds step;
    int backups;
  };
  const Row rows[] = {
      {"not", 0, 10},
      {"back by a minute", -kMinute, 10},
      {"back to before the window", -2 * kHour, 10},
      {"back by a day", -kDay, 10},
      {"back by a day and a half", -36 * kHour, 10},
      {"forward by an hour", kHour, 10},
      {"forward over the end", 3 * kHour, 10},
      // The window that is open then is that of another day.
      {"back by a year", -365 * kDay, 11},
      {"forward by a day", kDay, 11},
      {"forward by a year", 365 * kDay, 11},
  };
  for (const Row& row : rows) {
    const Night night = BackupsAroundStep(row.step);
    EXPECT_EQ(night.backups, row.backups) << row.name;
    EXPECT_LE(night.longest_gap, kDay + 2 * kHour) << row.name;
  }
}

}  // namespace
}  // namespace backup_ext
