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
  ScheduleState state{.enabled = true, .repository_set = true, .now = kMidnight + hours * kHour};
  for (const Opening& night : Nights()) {
    if (night.opens_at > state.now) continue;
    state.window_opened_at = night.opens_at;
    state.window_open = state.now < night.closes_at;
  }
  state.up_since = state.scheduled_since = kMidnight - 100 * kHour;
  return state;
}

TEST(NextRun, IsTheOpeningWhenClosed) {
  EXPECT_EQ(NextRun(At(0), Nights()), kMidnight + 2 * kHour);
  EXPECT_EQ(NextRun(At(5), Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, IsNowWhenDue) { EXPECT_EQ(NextRun(At(3), Nights()), kMidnight + 3 * kHour); }

TEST(NextRun, IsNowWhenAWindowWasMissed) {
  ScheduleState state = At(10);
  state.up_since = kMidnight + 9 * kHour;
  EXPECT_EQ(NextRun(state, Nights()), state.now);
  state.catch_up = false;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, IsTheNextOpeningWhenThisOneWasServed) {
  ScheduleState state = At(3);
  state.last_success = kMidnight + 2 * kHour;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
  state.last_success = kMidnight + 2 * kHour - 1;
  EXPECT_EQ(NextRun(state, Nights()), state.now);
}

TEST(NextRun, IsTheNextOpeningWhileOneRuns) {
  ScheduleState state = At(3);
  state.backup_running = true;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
}

TEST(NextRun, WaitsForTheEndOfThePause) {
  ScheduleState state = At(3);
  state.last_failure = state.now;
  state.failures_of_window = 2;
  EXPECT_EQ(NextRun(state, Nights()), state.now + RetryPause(2));
  state.now = state.last_failure = kMidnight + 5 * kHour - 1;
  EXPECT_EQ(NextRun(state, Nights()), kMidnight + 26 * kHour);
  state = At(3);
  state.last_locked_out = state.now;
  EXPECT_EQ(NextRun(state, Nights()), state.now + RetryPause(1));
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
  state.run_on = RunOn::kAny;
  EXPECT_EQ(NextRun(state, Nights()), state.now);
}

// What it promises is what the schedule does.
TEST(NextRun, AgreesWithTheSchedule) {
  for (Microseconds hours = 0; hours < 48; ++hours) {
    ScheduleState state = At(hours);
    state.last_success = kMidnight - 10 * kHour;
    EXPECT_EQ(NextRun(state, Nights()) == state.now, DecideAutomaticBackup(state).run) << hours;
  }
}

}  // namespace
}  // namespace backup_ext
