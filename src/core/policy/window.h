// When an automatic backup may begin, as people write it: `Mon-Fri 02:00-05:00, Sat,Sun
// 00:00-08:00`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

inline constexpr uint8_t kEveryDay = 0x7F;

// Minutes of the day; may cross midnight (22:00-04:00). Equal ends are refused. The minute of the
// end is no longer within.
struct Window {
  int opens_minute = 0;      // 0 to 1439
  int closes_minute = 0;     // 0 to 1440
  uint8_t days = kEveryDay;  // on which it opens: bit 0 is Monday, bit 6 Sunday
  bool operator==(const Window&) const = default;
};

struct WindowText {
  bool valid = false;
  std::vector<Window> windows;  // at least one
  std::string problem;          // names the exact part: `"25:00" is not a time of day`
};
// Windows with commas between them, each `HH:MM-HH:MM` with the days on which it opens before it:
// English names, whole or three letters (`Mon`), ranges (`Fri-Mon`), commas between several. Every
// day without. 24:00 as an end only; the whole day is 00:00-24:00. Blanks as one likes.
[[nodiscard]] WindowText ParseWindows(std::string_view text);

}  // namespace backup_ext
