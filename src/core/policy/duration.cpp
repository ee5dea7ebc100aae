// Lengths of time as people write them.
#include "policy/duration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/digits.h"

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kHour = 60 * kMinute;
constexpr Microseconds kDay = 24 * kHour;
constexpr Microseconds kLongest = 36525 * kDay;

struct Unit {
  std::string_view name;
  Microseconds length;
};
constexpr std::array kUnits = {
    Unit{"s", kMicrosecondsPerSecond},
    Unit{"sec", kMicrosecondsPerSecond},
    Unit{"secs", kMicrosecondsPerSecond},
    Unit{"second", kMicrosecondsPerSecond},
    Unit{"seconds", kMicrosecondsPerSecond},
    Unit{"min", kMinute},
    Unit{"mins", kMinute},
    Unit{"minute", kMinute},
    Unit{"minutes", kMinute},
    Unit{"h", kHour},
    Unit{"hour", kHour},
    Unit{"hours", kHour},
    Unit{"d", kDay},
    Unit{"day", kDay},
    Unit{"days", kDay},
    Unit{"week", 7 * kDay},
    Unit{"weeks", 7 * kDay},
};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

void SkipBlanks(std::string_view* text) {
  while (!text->empty() && IsBlank(text->front())) text->remove_prefix(1);
}

// The beginning of `*text` for which `belongs` holds, taken off.
template <typename Belongs>
std::string_view Take(std::string_view* text, Belongs belongs) {
  const auto end = std::ranges::find_if_not(*text, belongs);
  const std::string_view taken = text->substr(0, static_cast<size_t>(end - text->begin()));
  text->remove_prefix(taken.size());
  return taken;
}

std::optional<Microseconds> LengthOfUnit(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto* const unit = std::ranges::find(kUnits, lower, &Unit::name);
  return unit == kUnits.end() ? std::nullopt : std::optional(unit->length);
}

DurationText Invalid(std::string problem) { return {false, 0, std::move(problem)}; }

}  // namespace

DurationText ParseDuration(std::string_view text) {
  std::string_view rest = text;
  SkipBlanks(&rest);
  if (rest.empty()) return Invalid("it is empty");
  Microseconds total = 0;
  while (!rest.empty()) {
    const std::string_view part = rest;
    const std::string_view number = Take(&rest, IsDigit);
    if (number.empty() || (!rest.empty() && rest.front() == '.')) {
      const std::string_view word = part.substr(0, part.find_first_of(" \t"));
      return Invalid(fmt::format("\"{}\" is not a whole number", word));
    }
    int64_t value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    SkipBlanks(&rest);
    const std::string_view unit =
        Take(&rest, [](char c) { return !IsBlank(c) && !IsDigit(c) && c != '-'; });
    const std::string_view whole = part.substr(0, part.size() - rest.size());
    SkipBlanks(&rest);

    std::optional<Microseconds> length = LengthOfUnit(unit);
    if (!length && unit.empty() && value == 0 && error == std::errc()) length = 0;
    if (!length) {
      return Invalid(unit.empty() ? fmt::format("\"{}\" has no unit of time", whole)
                                  : fmt::format("\"{}\" is not a unit of time", unit));
    }
    if (error != std::errc() || (*length > 0 && value > (kLongest - total) / *length)) {
      return Invalid(fmt::format("\"{}\" is too long: 100 years are the longest", text));
    }
    total += value * *length;
  }
  return {true, total, {}};
}

std::string FormatDuration(Microseconds length) {
  const auto in = [length](Microseconds unit, std::string_view name) {
    const int64_t count = length / unit;
    return fmt::format("{} {}{}", count, name, count == 1 ? "" : "s");
  };
  if (length != 0 && length % kDay == 0) return in(kDay, "day");
  if (length != 0 && length % kHour == 0) return in(kHour, "hour");
  if (length != 0 && length % kMinute == 0) return in(kMinute, "minute");
  return in(kMicrosecondsPerSecond, "second");
}

}  // namespace backup_ext
