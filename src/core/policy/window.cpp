// Reads the text of a window, and says what is wrong with it.
#include "policy/window.h"

#include <optional>

#include <fmt/format.h>

namespace backup_ext {
namespace {

constexpr int kMinutesOfHour = 60;
constexpr int kMinutesOfDay = 24 * kMinutesOfHour;
constexpr std::string_view kSpaces = " \t";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int TwoDigits(std::string_view text) { return (text[0] - '0') * 10 + (text[1] - '0'); }

// 0 to 1440.
std::optional<int> ParseMinuteOfDay(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  if (!IsDigit(text[0]) || !IsDigit(text[1]) || !IsDigit(text[3]) || !IsDigit(text[4])) {
    return std::nullopt;
  }
  const int minutes = TwoDigits(text.substr(3));
  if (minutes >= kMinutesOfHour) return std::nullopt;
  const int minute_of_day = TwoDigits(text) * kMinutesOfHour + minutes;
  if (minute_of_day > kMinutesOfDay) return std::nullopt;
  return minute_of_day;
}

WindowText Refuse(std::string problem) {
  return {.valid = false, .window = {}, .problem = std::move(problem)};
}

WindowText RefuseTime(std::string_view text) {
  if (text.empty()) return Refuse("a time of day is missing");
  return Refuse(fmt::format("\"{}\" is not a time of day", text));
}

}  // namespace

WindowText ParseWindow(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return Refuse("the window is empty");
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return Refuse(fmt::format("\"{}\" has no \"-\" between two times of day", text));
  }
  const std::string_view opens_text = Trim(text.substr(0, dash));
  const std::string_view closes_text = Trim(text.substr(dash + 1));
  const std::optional<int> opens = ParseMinuteOfDay(opens_text);
  if (!opens) return RefuseTime(opens_text);
  if (*opens == kMinutesOfDay) return Refuse("\"24:00\" can only be the end of a window");
  const std::optional<int> closes = ParseMinuteOfDay(closes_text);
  if (!closes) return RefuseTime(closes_text);
  if (*opens == *closes) {
    return Refuse(fmt::format("the window opens and closes at the same time, \"{}\"", opens_text));
  }
  return {
      .valid = true, .window = {.opens_minute = *opens, .closes_minute = *closes}, .problem = {}};
}

bool IsOpen(const Window& window, int minute_of_day) {
  const bool opened = minute_of_day >= window.opens_minute;
  const bool before_close = minute_of_day < window.closes_minute;
  // Across midnight the two ends bound the time when it is closed.
  return window.opens_minute < window.closes_minute ? opened && before_close
                                                    : opened || before_close;
}

int MinutesSinceOpening(const Window& window, int minute_of_day) {
  return (minute_of_day - window.opens_minute + kMinutesOfDay) % kMinutesOfDay;
}

}  // namespace backup_ext
