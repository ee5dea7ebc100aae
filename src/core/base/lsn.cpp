// WAL positions as text.
#include "base/lsn.h"

#include <fmt/core.h>

#include <charconv>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr size_t kHalfDigits = 8;

bool ParseHalf(std::string_view text, uint64_t* value) {
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, *value, 16);
  return error == std::errc() && next == end && text.size() <= kHalfDigits;
}

}  // namespace

std::string FormatLsn(uint64_t lsn) {
  return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFF);
}

uint64_t ParseLsn(std::string_view text) {
  const size_t slash = text.find('/');
  uint64_t high = 0, low = 0;
  if (slash == std::string_view::npos || !ParseHalf(text.substr(0, slash), &high) ||
      !ParseHalf(text.substr(slash + 1), &low)) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("invalid WAL position \"{}\"", text.substr(0, 40)));
  }
  return high << 32 | low;
}

}  // namespace backup_ext
