// Which texts are windows, what is wrong with the others, and when a window is open.
#include "policy/window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace backup_ext {
namespace {

TEST(Window, IsRead) {
  struct Row {
    std::string_view text;
    Window expected;
  };
  const Row rows[] = {
      {"02:00-05:00", {120, 300}},
      {"22:00-04:00", {1320, 240}},
      {"00:00-24:00", {0, 1440}},
      {"00:00-00:01", {0, 1}},
      {"23:59-00:00", {1439, 0}},
      {"05:00-24:00", {300, 1440}},
      {"00:01-00:00", {1, 0}},
      {" 02:00-05:00 ", {120, 300}},
      {"02:00 - 05:00", {120, 300}},
      {"\t02:00\t-\t05:00\t", {120, 300}},
      {"  09:07  -  19:59  ", {547, 1199}},
  };
  for (const Row& row : rows) {
    const WindowText read = ParseWindow(row.text);
    EXPECT_TRUE(read.valid) << row.text;
    EXPECT_EQ(read.window, row.expected) << row.text;
    EXPECT_EQ(read.problem, "") << row.text;
  }
}

TEST(Window, ProblemNamesThePart) {
  struct Row {
    std::string_view text;
    std::string_view problem;
  };
  const Row rows[] = {
      {"", "the window is empty"},
      {"  ", "the window is empty"},
      {"night", "\"night\" has no \"-\" between two times of day"},
      {"02:00", "\"02:00\" has no \"-\" between two times of day"},
      {"02:00 05:00", "\"02:00 05:00\" has no \"-\" between two times of day"},
      {"02:00\u201305:00", "\"02:00\u201305:00\" has no \"-\" between two times of day"},
      {"-", "a time of day is missing"},
      {"-05:00", "a time of day is missing"},
      {"02:00-", "a time of day is missing"},
      {"02:00 - ", "a time of day is missing"},
      {"25:00-05:00", "\"25:00\" is not a time of day"},
      {"02:00-25:00", "\"25:00\" is not a time of day"},
      {"02:60-05:00", "\"02:60\" is not a time of day"},
      {"02:00-24:01", "\"24:01\" is not a time of day"},
      {"24:01-05:00", "\"24:01\" is not a time of day"},
      {"99:99-05:00", "\"99:99\" is not a time of day"},
      {"2:00-05:00", "\"2:00\" is not a time of day"},
      {"02:0-05:00", "\"02:0\" is not a time of day"},
      {"0200-0500", "\"0200\" is not a time of day"},
      {"02.00-05:00", "\"02.00\" is not a time of day"},
      {"02:00:00-05:00", "\"02:00:00\" is not a time of day"},
      {"+2:00-05:00", "\"+2:00\" is not a time of day"},
      {"0a:00-05:00", "\"0a:00\" is not a time of day"},
      {"02: 0-05:00", "\"02: 0\" is not a time of day"},
      {"02:00-05:0x", "\"05:0x\" is not a time of day"},
      {"02:00-5pm", "\"5pm\" is not a time of day"},
      {"02:00-05:00-06:00", "\"05:00-06:00\" is not a time of day"},
      {"02:00--05:00", "\"-05:00\" is not a time of day"},
      {"02:00-05:00, 12:00-13:00", "\"05:00, 12:00-13:00\" is not a time of day"},
      {"24:00-05:00", "\"24:00\" can only be the end of a window"},
      {"24:00-24:00", "\"24:00\" can only be the end of a window"},
      {"02:00-02:00", "the window opens and closes at the same time, \"02:00\""},
      {"00:00-00:00", "the window opens and closes at the same time, \"00:00\""},
  };
  for (const Row& row : rows) {
    const WindowText read = ParseWindow(row.text);
    EXPECT_FALSE(read.valid) << row.text;
    EXPECT_EQ(read.problem, row.problem) << row.text;
    EXPECT_EQ(read.window, Window{}) << row.text;
  }
}

TEST(Window, NulIsNoTime) {
  EXPECT_FALSE(ParseWindow(std::string_view("02:00-05:00\0", 12)).valid);
}

TEST(Window, OpensAtItsFirstMinuteAndIsClosedAtItsLast) {
  const Window window = {120, 300};
  EXPECT_FALSE(IsOpen(window, 119));
  EXPECT_TRUE(IsOpen(window, 120));
  EXPECT_TRUE(IsOpen(window, 299));
  EXPECT_FALSE(IsOpen(window, 300));
}

TEST(Window, CrossesMidnight) {
  const Window window = {1320, 240};
  EXPECT_FALSE(IsOpen(window, 1319));
  EXPECT_TRUE(IsOpen(window, 1320));
  EXPECT_TRUE(IsOpen(window, 1439));
  EXPECT_TRUE(IsOpen(window, 0));
  EXPECT_TRUE(IsOpen(window, 239));
  EXPECT_FALSE(IsOpen(window, 240));
  EXPECT_FALSE(IsOpen(window, 720));
}

TEST(Window, WholeDayIsAlwaysOpen) {
  const Window window = ParseWindow("00:00-24:00").window;
  for (int minute = 0; minute < 1440; ++minute) EXPECT_TRUE(IsOpen(window, minute)) << minute;
}

// Walks a clock from the opening on until the closing: the slow way to say what a window is.
TEST(Window, IsOpenFromOpeningToClosingForEveryPairOfEnds) {
  for (int opens = 0; opens < 1440; opens += 13) {
    for (int closes = 0; closes <= 1440; closes += 9) {
      if (opens == closes) continue;
      bool within[1440] = {};
      for (int minute = opens; minute != closes % 1440; minute = (minute + 1) % 1440) {
        within[minute] = true;
      }
      if (opens == closes % 1440) std::fill(std::begin(within), std::end(within), true);
      for (int minute = 0; minute < 1440; ++minute) {
        ASSERT_EQ(IsOpen({opens, closes}, minute), within[minute])
            << opens << "-" << closes << " at " << minute;
      }
    }
  }
}

TEST(Window, KnowsHowLongAgoItOpened) {
  const Window night = {.opens_minute = 22 * 60, .closes_minute = 4 * 60};
  EXPECT_EQ(MinutesSinceOpening(night, 22 * 60), 0);
  EXPECT_EQ(MinutesSinceOpening(night, 23 * 60 + 59), 119);
  EXPECT_EQ(MinutesSinceOpening(night, 0), 120);
  EXPECT_EQ(MinutesSinceOpening(night, 22 * 60 - 1), 24 * 60 - 1);
  const Window day = {.opens_minute = 0, .closes_minute = 24 * 60};
  EXPECT_EQ(MinutesSinceOpening(day, 0), 0);
  EXPECT_EQ(MinutesSinceOpening(day, 1439), 1439);
}

}  // namespace
}  // namespace backup_ext
