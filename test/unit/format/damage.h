// Every damage of one kind that can be done to some bytes.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"

namespace backup_ext {

// Calls `check(damaged)` for each single flipped bit.
template <typename Check>
void ForEachBitFlip(const Bytes& sound, Check check) {
  Bytes damaged = sound;
  for (size_t bit = 0; bit < sound.size() * 8; ++bit) {
    const std::byte mask = std::byte{1} << (bit % 8);
    damaged[bit / 8] ^= mask;
    SCOPED_TRACE(testing::Message() << "bit " << bit);
    check(damaged);
    damaged[bit / 8] ^= mask;
  }
}

// Calls `check(damaged)` for each length below the whole.
template <typename Check>
void ForEachTruncation(const Bytes& sound, Check check) {
  for (size_t length = 0; length < sound.size(); ++length) {
    SCOPED_TRACE(testing::Message() << "length " << length);
    check(Bytes(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(length)));
  }
}

[[nodiscard]] inline Bytes RandomContent(size_t size, std::mt19937_64* random) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>((*random)());
  }
  return bytes;
}

// Compresses to about half.
[[nodiscard]] inline Bytes CompressibleContent(size_t size, std::mt19937_64* random) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>("abcdefghijkl    "[(*random)() % 16]);
  }
  return bytes;
}

}  // namespace backup_ext
