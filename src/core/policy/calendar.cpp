// When windows open and close in a time zone.
#include "policy/calendar.h"

#include <algorithm>
#include <limits>

namespace backup_ext {
namespace {

constexpr int64_t kSecondsPerMinute = 60;
constexpr int64_t kSecondsPerDay = 24 * 60 * kSecondsPerMinute;
// Every weekday comes twice within these, even where a zone skips one.
constexpr int64_t kDaysAround = 15;
// No offset is greater.
constexpr int64_t kGreatestOffset = 2 * kSecondsPerDay;

int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// The first moment at which the local clock shows `local` or later.
int64_t FirstAtOrAfter(const Zone& zone, int64_t local) {
  int64_t time = local - kGreatestOffset;
  for (;;) {
    const int64_t exact = local - zone.OffsetAt(time);
    if (exact <= time) return time;
    const std::optional<int64_t> change = zone.NextChange(time);
    if (!change || exact < *change) return exact;
    time = *change;
  }
}

bool OpensOn(const Window& window, int64_t day) {
  constexpr int64_t kWeekdayOfEpoch = 3;  // 1970-01-01 was a Thursday
  const int64_t weekday = ((day + kWeekdayOfEpoch) % 7 + 7) % 7;
  return (window.days >> static_cast<unsigned>(weekday) & 1U) != 0;
}

bool Exists(const Zone& zone, int64_t day) {
  const int64_t first = FirstAtOrAfter(zone, day * kSecondsPerDay);
  return first + zone.OffsetAt(first) < (day + 1) * kSecondsPerDay;
}

// `day` counts from 1970-01-01.
std::optional<Opening> OpeningOn(const Window& window, const Zone& zone, int64_t day) {
  if (!OpensOn(window, day) || !Exists(zone, day)) return std::nullopt;
  const int64_t opens = window.opens_minute * kSecondsPerMinute;
  int64_t closes = window.closes_minute * kSecondsPerMinute;
  if (closes <= opens) closes += kSecondsPerDay;
  const int64_t opens_at = FirstAtOrAfter(zone, day * kSecondsPerDay + opens);
  int64_t closes_at = FirstAtOrAfter(zone, day * kSecondsPerDay + closes);
  if (closes_at <= opens_at) closes_at = opens_at + (closes - opens);
  return Opening{opens_at * kMicrosecondsPerSecond, closes_at * kMicrosecondsPerSecond};
}

// Counts from 1970-01-01.
int64_t LocalDay(const Zone& zone, Microseconds time) {
  const int64_t seconds = FloorDivide(time, kMicrosecondsPerSecond);
  return FloorDivide(seconds + zone.OffsetAt(seconds), kSecondsPerDay);
}

// The newest opening of one window at or before `now`.
std::optional<Opening> LastOpening(const Window& window, const Zone& zone, int64_t today,
                                   Microseconds now) {
  for (int64_t day = today + 1; day >= today - kDaysAround; --day) {
    const std::optional<Opening> opening = OpeningOn(window, zone, day);
    if (opening && opening->opens_at <= now) return opening;
  }
  return std::nullopt;
}

std::optional<Opening> NextOpening(const Window& window, const Zone& zone, int64_t today,
                                   Microseconds now) {
  for (int64_t day = today - 1; day <= today + kDaysAround; ++day) {
    const std::optional<Opening> opening = OpeningOn(window, zone, day);
    if (opening && opening->opens_at > now) return opening;
  }
  return std::nullopt;
}

}  // namespace

CalendarView ViewCalendar(std::span<const Window> windows, const Zone& zone, Microseconds now) {
  const int64_t today = LocalDay(zone, now);
  CalendarView view;
  view.last.opens_at = std::numeric_limits<Microseconds>::min();
  view.next_opens_at = std::numeric_limits<Microseconds>::max();
  for (const Window& window : windows) {
    if (const auto next = NextOpening(window, zone, today, now)) {
      view.next_opens_at = std::min(view.next_opens_at, next->opens_at);
    }
    const std::optional<Opening> last = LastOpening(window, zone, today, now);
    if (!last) continue;
    if (last->opens_at > view.last.opens_at) view.last = *last;
    if (last->opens_at == view.last.opens_at) {
      view.last.closes_at = std::max(view.last.closes_at, last->closes_at);
    }
    if (now < last->closes_at) {
      view.open_until = std::max(view.open_until.value_or(last->closes_at), last->closes_at);
    }
  }
  return view;
}

}  // namespace backup_ext
