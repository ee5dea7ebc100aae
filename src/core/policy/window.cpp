// Reads the text of windows, and says what is wrong with it.
#include "policy/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/digits.h"

namespace backup_ext {
namespace {

constexpr int kMinutesOfHour = 60;
constexpr int kMinutesOfDay = 24 * kMinutesOfHour;
constexpr int kDaysOfWeek = 7;
constexpr size_t kShortDayName = 3;
constexpr std::string_view kSpaces = " \t";
constexpr std::array<std::string_view, kDaysOfWeek> kDays = {
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

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

// 0 is Monday.
std::optional<int> ParseDay(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (int day = 0; day < kDaysOfWeek; ++day) {
    const std::string_view name = kDays[static_cast<size_t>(day)];
    if (lower == name || lower == name.substr(0, kShortDayName)) return day;
  }
  return std::nullopt;
}

std::string NotADay(std::string_view text) {
  if (text.empty()) return "a day of the week is missing";
  return fmt::format("\"{}\" is not a day of the week", text);
}

// `Mon` or `Fri-Mon`, added to `*days`; what is wrong otherwise.
std::string ParseDays(std::string_view text, uint8_t* days) {
  const size_t dash = text.find('-');
  const std::string_view first_text = Trim(text.substr(0, dash));
  const std::string_view last_text =
      dash == std::string_view::npos ? first_text : Trim(text.substr(dash + 1));
  const std::optional<int> first = ParseDay(first_text);
  if (!first) return NotADay(first_text);
  const std::optional<int> last = ParseDay(last_text);
  if (!last) return NotADay(last_text);
  for (int day = *first;; day = (day + 1) % kDaysOfWeek) {
    *days = static_cast<uint8_t>(*days | (1U << static_cast<unsigned>(day)));
    if (day == *last) return {};
  }
}

std::string NotATime(std::string_view text) {
  if (text.empty()) return "a time of day is missing";
  return fmt::format("\"{}\" is not a time of day", text);
}

// `HH:MM-HH:MM` into `*window`; what is wrong otherwise.
std::string ParseTimes(std::string_view text, Window* window) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return fmt::format("\"{}\" has no \"-\" between two times of day", text);
  }
  const std::string_view opens_text = Trim(text.substr(0, dash));
  const std::string_view closes_text = Trim(text.substr(dash + 1));
  const std::optional<int> opens = ParseMinuteOfDay(opens_text);
  if (!opens) return NotATime(opens_text);
  if (*opens == kMinutesOfDay) return "\"24:00\" can only be the end of a window";
  const std::optional<int> closes = ParseMinuteOfDay(closes_text);
  if (!closes) return NotATime(closes_text);
  if (*opens == *closes) {
    return fmt::format("\"{}\" opens and closes at the same time, so it never opens", text);
  }
  window->opens_minute = *opens;
  window->closes_minute = *closes;
  return {};
}

// Where the days end and the times begin.
size_t FirstDigit(std::string_view text) {
  return std::min(text.find_first_of("0123456789"), text.size());
}

WindowText Refuse(std::string problem) {
  return {.valid = false, .windows = {}, .problem = std::move(problem)};
}

}  // namespace

WindowText ParseWindows(std::string_view text) {
  if (Trim(text).empty()) return Refuse("the window is empty");
  WindowText result;
  uint8_t days = 0;
  std::string_view waiting;  // the newest days that no times have followed yet
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view part = Trim(text.substr(begin, comma - begin));
    begin = comma + 1;
    if (part.empty()) return Refuse("there is nothing between two commas, or at an end");
    // "-05:00" begins with its missing time, not with a day.
    const size_t digit = part.front() == '-' ? 0 : FirstDigit(part);
    const std::string_view days_text = Trim(part.substr(0, digit));
    const std::string_view times_text = part.substr(digit);
    if (!days_text.empty()) {
      if (std::string problem = ParseDays(days_text, &days); !problem.empty()) {
        return Refuse(std::move(problem));
      }
      waiting = days_text;
    }
    if (times_text.empty()) continue;
    Window window;
    if (std::string problem = ParseTimes(times_text, &window); !problem.empty()) {
      return Refuse(std::move(problem));
    }
    window.days = days == 0 ? kEveryDay : days;
    result.windows.push_back(window);
    days = 0;
    waiting = {};
  }
  if (!waiting.empty()) return Refuse(fmt::format("\"{}\" has no times of day", waiting));
  result.valid = true;
  return result;
}

}  // namespace backup_ext
