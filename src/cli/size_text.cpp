// Sizes for people.
#include "size_text.h"

#include <fmt/format.h>

#include <array>

namespace backup_ext {

std::string SizeText(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  auto size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return size < 10 ? fmt::format("{:.1f} {}", size, kUnits[unit])
                   : fmt::format("{:.0f} {}", size, kUnits[unit]);
}

}  // namespace backup_ext
