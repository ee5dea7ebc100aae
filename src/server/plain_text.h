// Text in plain data: in shared memory, and in what a longjmp may leave behind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace backup_ext {

// As much of it as there is room for, ended by a zero byte.
template <size_t kRoom>
void CopyText(std::string_view from, char (&to)[kRoom]) noexcept {
  size_t length = std::min(from.size(), kRoom - 1);
  // Not inside a character: half of one is no text. One of UTF-8 has up to 4 bytes.
  for (int i = 0; i < 3 && length < from.size() && (from[length] & 0xC0) == 0x80; ++i) --length;
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

}  // namespace backup_ext
