// When windows open and close in a time zone, whatever its daylight saving does.
//
// A window belongs to the day on which it opens. A start that the clocks skip is the moment after
// the gap; one that happens twice counts the first time. A window that lies in a gap as a whole is
// open for its length after the gap. A day that the zone skips (Apia, 30 December 2011) has none.
#pragma once

#include <optional>
#include <span>

#include "base/clock.h"
#include "policy/window.h"
#include "policy/zone.h"

namespace backup_ext {

struct Opening {
  Microseconds opens_at = 0;
  Microseconds closes_at = 0;  // the first moment that is no longer within
  bool operator==(const Opening&) const = default;
};

struct CalendarView {
  // The newest one that opened at or before `now`, open or closed since. Every opening asks for one
  // backup.
  Opening last;
  // Whether any window is open, and then when the last of these closes. (Windows may overlap.)
  std::optional<Microseconds> open_until;
  Microseconds next_opens_at = 0;
};

// `windows`: at least one.
[[nodiscard]] CalendarView ViewCalendar(std::span<const Window> windows, const Zone& zone,
                                        Microseconds now);

}  // namespace backup_ext
