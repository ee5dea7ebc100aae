// Lengths of time: read as written, and a wrong one says which part is wrong.
#include "policy/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr Microseconds kSecond = kMicrosecondsPerSecond;
constexpr Microseconds kHour = 3600 * kSecond;
constexpr Microseconds kDay = 24 * kHour;

TEST(Duration, IsReadAsWritten) {
  const std::pair<const char*, Microseconds> cases[] = {
      {"3 days", 3 * kDay},
      {"12 hours", 12 * kHour},
      {"5 seconds", 5 * kSecond},
      {"1 day", kDay},
      {"3d", 3 * kDay},
      {"90min", 90 * 60 * kSecond},
      {"  1 Week 2 days  ", 9 * kDay},
      {"1h30min", kHour + 30 * 60 * kSecond},
      {"2 secs", 2 * kSecond},
      {"0", 0},
      {"0 days", 0},
      {"36525 days", 36525 * kDay},
  };
  for (const auto& [text, length] : cases) {
    const DurationText read = ParseDuration(text);
    EXPECT_TRUE(read.valid) << text << ": " << read.problem;
    EXPECT_EQ(read.length, length) << text;
  }
}

TEST(Duration, AWrongOneSaysWhichPart) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "it is empty"},
      {"   ", "it is empty"},
      {"3", "\"3\" has no unit of time"},
      {"1 day 3", "\"3\" has no unit of time"},
      {"3 dyas", "\"dyas\" is not a unit of time"},
      {"1 month", "\"month\" is not a unit of time"},
      {"3dd", "\"dd\" is not a unit of time"},
      {"-3 days", "\"-3\" is not a whole number"},
      {"1.5 days", "\"1.5\" is not a whole number"},
      {"1 day -3 hours", "\"-3\" is not a whole number"},
      {"three days", "\"three\" is not a whole number"},
      {"1 day, 2 hours", "\"day,\" is not a unit of time"},
      {"36526 days", "\"36526 days\" is too long: 100 years are the longest"},
      {"36525 days 1 s", "\"36525 days 1 s\" is too long: 100 years are the longest"},
      {"99999999999999999999 s",
       "\"99999999999999999999 s\" is too long: 100 years are the longest"},
  };
  for (const auto& [text, problem] : cases) {
    const DurationText read = ParseDuration(text);
    EXPECT_FALSE(read.valid) << text;
    EXPECT_EQ(read.problem, problem) << text;
  }
}

TEST(Duration, IsShownInTheLargestUnitThatIsExact) {
  EXPECT_EQ(FormatDuration(3 * kDay), "3 days");
  EXPECT_EQ(FormatDuration(kDay), "1 day");
  EXPECT_EQ(FormatDuration(36 * kHour), "36 hours");
  EXPECT_EQ(FormatDuration(90 * 60 * kSecond), "90 minutes");
  EXPECT_EQ(FormatDuration(61 * kSecond), "61 seconds");
  EXPECT_EQ(FormatDuration(0), "0 seconds");
}

}  // namespace
}  // namespace backup_ext
