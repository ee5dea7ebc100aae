// When the next automatic backup is to be expected.
#include "policy/next_run.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr Microseconds kHour = 3600LL * kMicrosecondsPerSecond;
constexpr Microseconds kMidnight = 1795392000LL * kMicrosecondsPerSecond;

// 02:00 to 05:00 of three days.
std::vector<Opening> Nights() {
  std::vector<Opening> nights;
  for (int day = 0; day < 3; ++day) {
    nights.push_back({kMidnight + (24 * day + 2) * kHour, kMidnight + (24 * day + 5) * kHour});
  }
  return nights;
}

ScheduleState At(Microseconds hours) {
  return {.enabled = true, .repository_set = true, .now = kMidnight + hours * kHour};
}

TEST(NextRun, IsTheOpeningWhenClosed) {
  EXPECT_EQ(NextRun(At(0), Nights()), kMidnight + 2 * kHour);
  EXPECT_EQ(NextRun(At(5), Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, IsNowWhenDue) { EXPECT_EQ(NextRun(At(3), Nights()), kMidnight + 3 * kHour); }

TEST(NextRun, WaitsUntilTheLastOneIsOldEnough) {
  ScheduleState state = At(3);
  state.last_success = kMidnight + 2 * kHour;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
  state.last_success = kMidnight - 16 * kHour;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 4 * kHour);
}

TEST(NextRun, WaitsForTheEndOfThePause) {
  ScheduleState state = At(3);
  state.last_failure = state.now;
  state.failures_in_a_row = 2;
  EXPECT_EQ(NextRun(state, Nights()), state.now + RetryPause(2));
  state.now = state.last_failure = kMidnight + 5 * kHour - 1;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, LeavesAWindowAloneInWhichOneWasCancelled) {
  ScheduleState state = At(3);
  state.last_cancel = state.now;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, IsNoneWhereNothingRuns) {
  for (bool ScheduleState::*switched : {&ScheduleState::enabled, &ScheduleState::repository_set}) {
    ScheduleState state = At(3);
    state.*switched = false;
    EXPECT_FALSE(NextRun(state, Nights()));
  }
  ScheduleState state = At(3);
  state.in_recovery = true;
  EXPECT_FALSE(NextRun(state, Nights()));
  EXPECT_FALSE(NextRun(At(3), {}));
}

// What it promises is what the schedule does.
TEST(NextRun, AgreesWithTheSchedule) {
  for (Microseconds hours = 0; hours < 48; ++hours) {
    ScheduleState state = At(hours);
    state.last_success = kMidnight - 10 * kHour;
    const Microseconds of_day = hours % 24;
    state.window_open = of_day >= 2 && of_day < 5;
    state.window_opened_at = kMidnight + (hours - of_day + 2) * kHour;
    EXPECT_EQ(NextRun(state, Nights()) == state.now, DecideAutomaticBackup(state).run) << hours;
  }
}

}  // namespace
}  // namespace backup_ext
