// When an automatic backup may begin: `02:00-05:00`.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

// Minutes of the day; may cross midnight (22:00-04:00). Equal ends are refused. The minute of the
// end is no longer within.
struct Window {
  int opens_minute = 0;   // 0 to 1439
  int closes_minute = 0;  // 0 to 1440
  bool operator==(const Window&) const = default;
};

struct WindowText {
  bool valid = false;
  Window window;
  std::string problem;  // names the exact part: `"25:00" is not a time of day`
};
// Reads `HH:MM-HH:MM` (spaces around the parts allowed; 24:00 as an end only). The whole day is
// 00:00-24:00.
[[nodiscard]] WindowText ParseWindow(std::string_view text);

// `minute_of_day` 0..1439, in the zone of the window.
[[nodiscard]] bool IsOpen(const Window& window, int minute_of_day);
// Minutes from its last opening, 0..1439, whether it closed since or not.
[[nodiscard]] int MinutesSinceOpening(const Window& window, int minute_of_day);

}  // namespace backup_ext
