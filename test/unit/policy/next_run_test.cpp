// When the next automatic backup is to be expected.
#include "policy/next_run.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr Microseconds kHour = 3600LL * kMicrosecondsPerSecond;
constexpr Microseconds kMidnight = 1795392000LL * kMicrosecondsPerSecond;

// 02:00 to 05:00 of each day.
CalendarView NightsAt(Microseconds now) {
  const Microseconds days = (now - kMidnight - 2 * kHour + 24 * kHour) / (24 * kHour) - 1;
  const Microseconds opens_at = kMidnight + (24 * days + 2) * kHour;
  CalendarView nights;
  nights.last = {opens_at, opens_at + 3 * kHour};
  nights.next_opens_at = opens_at + 24 * kHour;
  if (now < nights.last.closes_at) nights.open_until = nights.last.closes_at;
  return nights;
}

std::optional<Microseconds> NextNight(const ScheduleState& state) {
  return NextRun(state, NightsAt(state.now));
}

ScheduleState At(Microseconds hours) {
  ScheduleState state{.enabled = true, .repository_set = true, .now = kMidnight + hours * kHour};
  const CalendarView nights = NightsAt(state.now);
  state.window_opened_at = nights.last.opens_at;
  state.window_open = nights.open_until.has_value();
  state.up_since = state.scheduled_since = kMidnight - 100 * kHour;
  return state;
}

TEST(NextRun, IsTheOpeningWhenClosed) {
  EXPECT_EQ(NextNight(At(0)), kMidnight + 2 * kHour);
  EXPECT_EQ(NextNight(At(5)), kMidnight + 26 * kHour);
}

TEST(NextRun, IsNowWhenDue) { EXPECT_EQ(NextNight(At(3)), kMidnight + 3 * kHour); }

TEST(NextRun, IsNowWhenAWindowWasMissed) {
  ScheduleState state = At(10);
  state.up_since = kMidnight + 9 * kHour;
  EXPECT_EQ(NextNight(state), state.now);
  state.catch_up = false;
  EXPECT_EQ(NextNight(state), kMidnight + 26 * kHour);
}

TEST(NextRun, IsTheNextOpeningWhenThisOneWasServed) {
  ScheduleState state = At(3);
  state.last_success = kMidnight + 2 * kHour;
  EXPECT_EQ(NextNight(state), kMidnight + 26 * kHour);
  state.last_success = kMidnight + 2 * kHour - 1;
  EXPECT_EQ(NextNight(state), state.now);
}

TEST(NextRun, IsTheNextOpeningWhileOneRuns) {
  ScheduleState state = At(3);
  state.backup_running = true;
  EXPECT_EQ(NextNight(state), kMidnight + 26 * kHour);
}

TEST(NextRun, WaitsForTheEndOfThePause) {
  ScheduleState state = At(3);
  state.last_failure = state.now;
  state.failures_of_window = 2;
  EXPECT_EQ(NextNight(state), state.now + RetryPause(2));
  state.now = state.last_failure = kMidnight + 5 * kHour - 1;
  EXPECT_EQ(NextNight(state), kMidnight + 26 * kHour);
  state = At(3);
  state.last_locked_out = state.now;
  EXPECT_EQ(NextNight(state), state.now + RetryPause(1));
}

TEST(NextRun, LeavesAWindowAloneInWhichOneWasCancelled) {
  ScheduleState state = At(3);
  state.last_cancel = state.now;
  EXPECT_EQ(NextNight(state), kMidnight + 26 * kHour);
}

TEST(NextRun, IsNoneWhereNothingRuns) {
  for (bool ScheduleState::*switched : {&ScheduleState::enabled, &ScheduleState::repository_set}) {
    ScheduleState state = At(3);
    state.*switched = false;
    EXPECT_FALSE(NextNight(state));
  }
  ScheduleState state = At(3);
  state.in_recovery = true;
  EXPECT_FALSE(NextNight(state));
  state.run_on = RunOn::kAny;
  EXPECT_EQ(NextNight(state), state.now);
}

// What it promises is what the schedule does.
TEST(NextRun, AgreesWithTheSchedule) {
  for (Microseconds hours = 0; hours < 48; ++hours) {
    ScheduleState state = At(hours);
    state.last_success = kMidnight - 10 * kHour;
    EXPECT_EQ(NextNight(state) == state.now, DecideAutomaticBackup(state).run) << hours;
  }
}

}  // namespace
}  // namespace backup_ext
