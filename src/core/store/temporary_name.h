// The names of the directory store's temporary files: <root>/tmp/<16 hexadecimal digits>.tmp.
// Private to this room.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace backup_ext {

inline constexpr std::string_view kTemporaryDirectory = "tmp";
inline constexpr std::string_view kTemporarySuffix = ".tmp";
inline constexpr size_t kTemporaryRandomBytes = 8;

[[nodiscard]] inline std::string NewTemporaryName() {
  return HexEncode(RandomBytes(kTemporaryRandomBytes)) + std::string(kTemporarySuffix);
}

// True for a name that NewTemporaryName() may have made.
[[nodiscard]] inline bool IsTemporaryName(std::string_view name) {
  if (name.size() != 2 * kTemporaryRandomBytes + kTemporarySuffix.size()) return false;
  if (!name.ends_with(kTemporarySuffix)) return false;
  return std::ranges::all_of(name.substr(0, 2 * kTemporaryRandomBytes), [](char digit) {
    return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
  });
}

}  // namespace backup_ext
