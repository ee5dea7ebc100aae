// How the rest of the work is fitted into the rest of the window.
#include "policy/pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace backup_ext {
namespace {

constexpr Microseconds kSecond = kMicrosecondsPerSecond;
constexpr Microseconds kHour = 3600 * kSecond;
constexpr uint64_t kMegabyte = 1024ULL * 1024;

// A window of ten hours, the next one half a day after its end.
WindowPace Pace(Microseconds since_opening, uint64_t bytes_left) {
  return {.now = since_opening,
          .opened_at = 0,
          .closes_at = 10 * kHour,
          .next_opens_at = 24 * kHour,
          .bytes_left = bytes_left};
}

TEST(Pace, FollowsThePhase) {
  const WindowPace spread = Pace(0, 90 * 3600 * kMegabyte);
  ASSERT_GT(PacedRate(spread), 2 * kLeastPacedRate);
  struct Case {
    Phase phase;
    uint64_t rate;
    bool ends;
  };
  const Case cases[] = {
      {Phase::kStarting, kLeastPacedRate, false},
      {Phase::kEstimatingMedia, kLeastPacedRate, true},
      {Phase::kCopyingMedia, PacedRate(spread), true},
      {Phase::kWaitingForCheckpoint, kLeastPacedRate, true},
      {Phase::kEstimating, kLeastPacedRate, true},
      {Phase::kCopying, PacedRate(spread), true},
      {Phase::kWaitingForWal, 0, false},
      {Phase::kRereadingMedia, 0, false},
      {Phase::kCommitting, 0, false},
      {Phase::kExpiring, 0, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(WindowRate(c.phase, spread), c.rate) << PhaseName(c.phase);
    EXPECT_EQ(EndsWithWindow(c.phase), c.ends) << PhaseName(c.phase);
    const bool is_read = c.phase == Phase::kCopying || c.phase == Phase::kCopyingMedia ||
                         c.phase == Phase::kRereadingMedia;
    EXPECT_EQ(ReadsFiles(c.phase), is_read) << PhaseName(c.phase);
  }
}

TEST(Pace, LowerRateTakesZeroForUnlimited) {
  EXPECT_EQ(LowerRate(0, 0), 0U);
  EXPECT_EQ(LowerRate(0, 7), 7U);
  EXPECT_EQ(LowerRate(7, 0), 7U);
  EXPECT_EQ(LowerRate(7, 9), 7U);
  EXPECT_EQ(LowerRate(UINT64_MAX, 9), 9U);
}

TEST(Pace, SpreadsTheRestOverNineTenthsOfTheWindow) {
  constexpr uint64_t kWork = 10ULL * 9 * 3600 * kMegabyte;
  EXPECT_EQ(PacedRate(Pace(0, kWork)), 10 * kMegabyte);
  EXPECT_EQ(PacedRate(Pace(8 * kHour, kWork / 9)), 10 * kMegabyte);
  EXPECT_EQ(PacedRate(Pace(0, kWork / 2)), 5 * kMegabyte);
}

TEST(Pace, IsAsFastAsItCanWhenTheWindowNearsItsEnd) {
  EXPECT_EQ(PacedRate(Pace(9 * kHour, 1)), 0U);
  EXPECT_EQ(PacedRate(Pace(10 * kHour - 1, UINT64_MAX)), 0U);
}

TEST(Pace, SpreadsWhatIsLeftAfterTheWindowUntilTheNextOne) {
  constexpr uint64_t kSeconds = 126ULL * 360;  // nine tenths of 14 hours
  EXPECT_EQ(PacedRate(Pace(10 * kHour, kSeconds * 20 * kMegabyte)), 20 * kMegabyte);
  EXPECT_EQ(PacedRate(Pace(24 * kHour, kMegabyte)), 0U);
}

TEST(Pace, HasABottomAndBelievesNoEstimate) {
  EXPECT_EQ(PacedRate(Pace(0, 0)), kLeastPacedRate);
  EXPECT_EQ(PacedRate(Pace(0, 1)), kLeastPacedRate);
  EXPECT_EQ(PacedRate(Pace(9 * kHour - kSecond, UINT64_MAX)), 0U);
}

// The disk gives what it can, or what the pace allows.
Microseconds EndOfRun(uint64_t work, uint64_t disk_rate) {
  uint64_t left = work;
  Microseconds now = 0;
  for (; left > 0 && now < 100 * kHour; now += kSecond) {
    left -= std::min(left, LowerRate(disk_rate, PacedRate(Pace(now, left))));
  }
  return now;
}

TEST(Pace, WorkThatFitsEndsInsideTheWindow) {
  for (const uint64_t hours : {1, 3, 5, 8, 9}) {
    const uint64_t work = hours * 3600 * 50 * kMegabyte;
    const Microseconds end = EndOfRun(work, 50 * kMegabyte);
    EXPECT_LE(end, 10 * kHour) << hours;
    EXPECT_GE(end, 8 * kHour) << hours;
  }
}

TEST(Pace, WorkThatDoesNotFitEndsBeforeTheNextWindow) {
  const uint64_t work = 15ULL * 3600 * 50 * kMegabyte;
  const Microseconds end = EndOfRun(work, 50 * kMegabyte);
  EXPECT_GT(end, 15 * kHour);
  EXPECT_LE(end, 24 * kHour);
}

}  // namespace
}  // namespace backup_ext
