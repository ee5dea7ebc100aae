// Lengths of time as people write them: `3 days`, `12 hours`, `1 week 2 days`.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

struct DurationText {
  bool valid = false;
  Microseconds length = 0;
  std::string problem;  // names the exact part: `"3 dyas" has no unit of time`
};
// Whole numbers with units from seconds to weeks, in any order, blanks between them as one likes;
// 0 needs no unit. No months and years: their length depends on when they begin. At most 100 years.
[[nodiscard]] DurationText ParseDuration(std::string_view text);

// The same length in the largest unit that measures it exactly: `3 days`, `36 hours`.
[[nodiscard]] std::string FormatDuration(Microseconds length);

}  // namespace backup_ext
