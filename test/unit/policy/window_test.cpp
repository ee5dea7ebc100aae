// Which texts are windows, and what is wrong with the others.
#include "policy/window.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

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
    const WindowText read = ParseWindows(row.text);
    EXPECT_TRUE(read.valid) << row.text;
    EXPECT_EQ(read.windows, std::vector<Window>{row.expected}) << row.text;
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
      {"night", "\"night\" is not a day of the week"},
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
      {"+2:00-05:00", "\"+\" is not a day of the week"},
      {"0a:00-05:00", "\"0a:00\" is not a time of day"},
      {"02: 0-05:00", "\"02: 0\" is not a time of day"},
      {"02:00-05:0x", "\"05:0x\" is not a time of day"},
      {"02:00-5pm", "\"5pm\" is not a time of day"},
      {"02:00-05:00-06:00", "\"05:00-06:00\" is not a time of day"},
      {"02:00--05:00", "\"-05:00\" is not a time of day"},
      {"24:00-05:00", "\"24:00\" can only be the end of a window"},
      {"24:00-24:00", "\"24:00\" can only be the end of a window"},
      {"02:00-02:00", "\"02:00-02:00\" opens and closes at the same time, so it never opens"},
      {"00:00-00:00", "\"00:00-00:00\" opens and closes at the same time, so it never opens"},
  };
  for (const Row& row : rows) {
    const WindowText read = ParseWindows(row.text);
    EXPECT_FALSE(read.valid) << row.text;
    EXPECT_EQ(read.problem, row.problem) << row.text;
  }
}

TEST(Window, NulIsNoTime) {
  EXPECT_FALSE(ParseWindows(std::string_view("02:00-05:00\0", 12)).valid);
}

TEST(Window, DaysComeBeforeTheTimes) {
  constexpr uint8_t kWorkdays = 0x1F, kWeekend = 0x60;
  struct Row {
    std::string_view text;
    std::vector<Window> expected;
  };
  const Row rows[] = {
      {"Mon-Fri 02:00-05:00, Sat,Sun 00:00-08:00", {{120, 300, kWorkdays}, {0, 480, kWeekend}}},
      {"Mon 02:00-05:00", {{120, 300, 0x01}}},
      {"sunday 02:00-05:00", {{120, 300, 0x40}}},
      {"MON , Wednesday,FRI 02:00-05:00", {{120, 300, 0x15}}},
      {"Fri-Mon 02:00-05:00", {{120, 300, 0x71}}},
      {"Mon-Sun 02:00-05:00", {{120, 300, kEveryDay}}},
      {"Sun-Sat 02:00-05:00", {{120, 300, kEveryDay}}},
      {"Tue - Thu 22:00 - 04:00", {{1320, 240, 0x0E}}},
      {"Mon02:00-05:00", {{120, 300, 0x01}}},
      {"Mon,Mon-Tue 02:00-05:00", {{120, 300, 0x03}}},
      {"02:00-05:00, 14:00-16:00", {{120, 300}, {840, 960}}},
      {"02:00-05:00,Sat 00:00-24:00", {{120, 300}, {0, 1440, 0x20}}},
      // A window without days opens every day, whatever stands before it.
      {"Mon 02:00-05:00, 14:00-16:00", {{120, 300, 0x01}, {840, 960}}},
      {"02:00-05:00, 02:00-05:00", {{120, 300}, {120, 300}}},
  };
  for (const Row& row : rows) {
    const WindowText read = ParseWindows(row.text);
    EXPECT_TRUE(read.valid) << row.text << ": " << read.problem;
    EXPECT_EQ(read.windows, row.expected) << row.text;
  }
}

TEST(Window, ProblemOfDaysNamesThePart) {
  struct Row {
    std::string_view text;
    std::string_view problem;
  };
  const Row rows[] = {
      {"Mo 02:00-05:00", "\"Mo\" is not a day of the week"},
      {"Mon-Fry 02:00-05:00", "\"Fry\" is not a day of the week"},
      {"Mon- 02:00-05:00", "a day of the week is missing"},
      {"Mon-Wed-Fri 02:00-05:00", "\"Wed-Fri\" is not a day of the week"},
      {"Mon Tue 02:00-05:00", "\"Mon Tue\" is not a day of the week"},
      {"Mon", "\"Mon\" has no times of day"},
      {"02:00-05:00, Sat,Sun", "\"Sun\" has no times of day"},
      {"Mon 02:00", "\"02:00\" has no \"-\" between two times of day"},
      {"Mon 02:00-02:00", "\"02:00-02:00\" opens and closes at the same time, so it never opens"},
      {"02:00-05:00 Mon", "\"05:00 Mon\" is not a time of day"},
      {"02:00-05:00,", "there is nothing between two commas, or at an end"},
      {",02:00-05:00", "there is nothing between two commas, or at an end"},
      {"Mon,,Tue 02:00-05:00", "there is nothing between two commas, or at an end"},
      {"Mon-Fri 02:00-05:00, Sat 00:00-25:00", "\"25:00\" is not a time of day"},
  };
  for (const Row& row : rows) {
    const WindowText read = ParseWindows(row.text);
    EXPECT_FALSE(read.valid) << row.text;
    EXPECT_EQ(read.problem, row.problem) << row.text;
  }
}

}  // namespace
}  // namespace backup_ext
