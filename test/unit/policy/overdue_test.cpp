// When a backup is too old for what was promised.
#include "policy/overdue.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr Microseconds kHour = 3600LL * kMicrosecondsPerSecond;
constexpr Microseconds kNow = 1795429965123456;

PromiseState Nightly() {
  return {.promised = true,
          .now = kNow,
          .last_success = kNow - 20 * kHour,
          .promised_since = kNow - 1000 * kHour,
          .window_opened_at = kNow - 10 * kHour};
}

TEST(Overdue, ANightThatWasSkippedIsNone) {
  PromiseState state = Nightly();
  EXPECT_EQ(BrokenPromise(state), "");
  state.last_success = kNow - 48 * kHour;
  EXPECT_EQ(BrokenPromise(state), "");
}

TEST(Overdue, TwoNightsAre) {
  PromiseState state = Nightly();
  state.last_success = kNow - 49 * kHour;
  EXPECT_EQ(BrokenPromise(state), "the newest good backup began 49 hours ago");
  state.window_opened_at = 0;
  EXPECT_EQ(BrokenPromise(state), "the newest good backup began 49 hours ago");
}

TEST(Overdue, AWindowAWeekBreaksNoneOnTheDaysBetween) {
  PromiseState state = Nightly();
  state.last_success = kNow - 100 * kHour;
  state.window_opened_at = kNow - 101 * kHour;
  EXPECT_EQ(BrokenPromise(state), "");
}

TEST(Overdue, AnOpenWindowHasADay) {
  PromiseState state = Nightly();
  state.last_success = kNow - 168 * kHour;
  state.window_open = true;
  EXPECT_EQ(BrokenPromise(state), "");
  state.window_opened_at = kNow - 25 * kHour;
  EXPECT_EQ(BrokenPromise(state), "the newest good backup began 7 days ago");
}

TEST(Overdue, NothingIsWithoutAPromise) {
  PromiseState state = Nightly();
  state.promised = false;
  state.last_success = 0;
  EXPECT_EQ(BrokenPromise(state), "");
}

TEST(Overdue, TheFirstNightCounts) {
  PromiseState state = Nightly();
  state.last_success = 0;
  state.promised_since = kNow - 23 * kHour;
  EXPECT_EQ(BrokenPromise(state), "");
  state.promised_since = kNow - 25 * kHour;
  EXPECT_EQ(BrokenPromise(state), "there is no good backup, 25 hours after the server started");
}

TEST(Overdue, AClockThatWentBackIsNone) {
  PromiseState state = Nightly();
  state.last_success = kNow + 100 * kHour;
  EXPECT_EQ(BrokenPromise(state), "");
}

}  // namespace
}  // namespace backup_ext
