// Wall-clock time and its text forms. UTC only: no time zone of the process plays a part.
#include "base/clock.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace backup_ext {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::microseconds;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year_month_day;

// The years that four digits can name.
constexpr sys_days kFirstDay{std::chrono::year{0} / 1 / 1};
constexpr sys_days kDayAfterLast{std::chrono::year{10000} / 1 / 1};

struct CivilTime {
  int year;
  unsigned month, day;
  int hour, minute, second, microsecond;
};

CivilTime ToCivil(Microseconds time) {
  constexpr Microseconds first = microseconds(kFirstDay.time_since_epoch()).count();
  constexpr Microseconds last = microseconds(kDayAfterLast.time_since_epoch()).count() - 1;
  const std::chrono::sys_time<microseconds> point{microseconds(std::clamp(time, first, last))};
  const sys_days day = floor<days>(point);
  const year_month_day date{day};
  const std::chrono::hh_mm_ss<microseconds> clock{point - day};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

[[noreturn]] void ThrowInvalidTime(std::string_view text) {
  throw Error(ErrorCode::kDamaged, fmt::format("invalid time \"{}\"", text.substr(0, 40)));
}

}  // namespace

Microseconds Now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<microseconds>(now).count();
}

Microseconds MonotonicNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<microseconds>(now).count();
}

std::string FormatTime(Microseconds time) {
  const CivilTime t = ToCivil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", t.year, t.month, t.day, t.hour,
                     t.minute, t.second, t.microsecond);
}

Microseconds ParseTime(std::string_view text) {
  constexpr std::string_view form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  if (text.size() != form.size()) {
    ThrowInvalidTime(text);
  }
  for (size_t i = 0; i < form.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == 'd' ? !is_digit : text[i] != form[i]) {
      ThrowInvalidTime(text);
    }
  }
  const auto number = [text](size_t first, size_t count) {
    int value = 0;
    for (const char digit : text.substr(first, count)) {
      value = value * 10 + (digit - '0');
    }
    return value;
  };
  const year_month_day date{std::chrono::year(number(0, 4)),
                            std::chrono::month(static_cast<unsigned>(number(5, 2))),
                            std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    ThrowInvalidTime(text);
  }
  const auto time = sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
                    std::chrono::minutes(minute) + seconds(second) + microseconds(number(20, 6));
  return microseconds(time).count();
}

std::string FormatTimeForId(Microseconds time) {
  const CivilTime t = ToCivil(time);
  return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", t.year, t.month, t.day, t.hour, t.minute,
                     t.second);
}

std::string FormatTimeGmt(int64_t seconds_since_epoch) {
  constexpr int64_t limit = INT64_MAX / kMicrosecondsPerSecond;
  const CivilTime t =
      ToCivil(std::clamp(seconds_since_epoch, -limit, limit) * kMicrosecondsPerSecond);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} GMT", t.year, t.month, t.day, t.hour,
                     t.minute, t.second);
}

}  // namespace backup_ext
