// Times as text: known moments, strict reading, no overflow at the ends of time.
#include "base/clock.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/error.h"

namespace backup_ext {
namespace {

// date -u -d @1795429965 '+%F %T'
constexpr int64_t kSeconds = 1795429965;
constexpr Microseconds kTime = kSeconds * kMicrosecondsPerSecond + 123456;

TEST(Clock, FormatsKnownMoment) {
  EXPECT_EQ(FormatTime(kTime), "2026-11-23T10:32:45.123456Z");
  EXPECT_EQ(FormatTimeForId(kTime), "20261123-103245");
  EXPECT_EQ(FormatTimeGmt(kSeconds), "2026-11-23 10:32:45 GMT");
  EXPECT_EQ(FormatTime(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Clock, RandomTimesComeBack) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10000; ++i) {
    const auto time = static_cast<Microseconds>(random() % 8'000'000'000'000'000) - 1'000'000'000;
    ASSERT_EQ(ParseTime(FormatTime(time)), time);
  }
}

TEST(Clock, ImpossibleTimesAreRefused) {
  for (const char* text :
       {"", "2026-11-23T10:32:45.123456", "2026-11-23 10:32:45.123456Z",
        "2026-02-30T10:32:45.123456Z", "2026-13-01T10:32:45.123456Z", "2026-11-23T24:00:00.000000Z",
        "2026-11-23T10:60:45.123456Z", "2026-11-23T10:32:60.123456Z", "-026-11-23T10:32:45.123456Z",
        "2026-11-23T10:32:45.12345 Z", "2026-00-10T10:32:45.123456Z"}) {
    EXPECT_THROW(static_cast<void>(ParseTime(text)), Error) << text;
  }
}

TEST(Clock, EndsOfTimeAreClamped) {
  EXPECT_EQ(FormatTime(std::numeric_limits<Microseconds>::max()), "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatTime(std::numeric_limits<Microseconds>::min()), "0000-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatTimeGmt(std::numeric_limits<int64_t>::max()), "9999-12-31 23:59:59 GMT");
}

TEST(Clock, MonotonicClockNeverGoesBack) {
  Microseconds before = MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    const Microseconds now = MonotonicNow();
    ASSERT_GE(now, before);
    before = now;
  }
  EXPECT_GT(Now(), int64_t{1'600'000'000} * kMicrosecondsPerSecond);
}

}  // namespace
}  // namespace backup_ext
