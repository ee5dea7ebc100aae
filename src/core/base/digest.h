// Checksums: XXH3 for what we store, CRC-32C and SHA-256 for what PostgreSQL's tools check.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace backup_ext {

// The canonical (big-endian) form of an XXH3 128-bit hash, seed 0.
using Digest128 = std::array<std::byte, 16>;

[[nodiscard]] Digest128 Xxh3Digest(ByteSpan bytes);
[[nodiscard]] uint64_t Xxh3Short(ByteSpan bytes);  // XXH3 64-bit, seed 0

// XXH3-128 of a stream.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(Xxh3Stream&&) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&&) noexcept;
  void Update(ByteSpan bytes);
  [[nodiscard]] Digest128 Finish() const;  // of all bytes so far; more may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// CRC-32C (Castagnoli) as PostgreSQL computes it: start with kCrc32cInit, update, finish.
// Source: src/include/port/pg_crc32c.h. Uses SSE 4.2 where the processor has it.
inline constexpr uint32_t kCrc32cInit = 0xFFFFFFFF;
[[nodiscard]] uint32_t Crc32cUpdate(uint32_t crc, ByteSpan bytes);
[[nodiscard]] inline uint32_t Crc32cFinish(uint32_t crc) { return crc ^ 0xFFFFFFFF; }

// SHA-256 of a stream (OpenSSL).
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(ByteSpan bytes);
  [[nodiscard]] std::array<std::byte, 32> Finish();  // ends the stream

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] std::string HexEncode(ByteSpan bytes);  // lower case
// Throws Error(kDamaged) for anything but pairs of hexadecimal digits.
[[nodiscard]] Bytes HexDecode(std::string_view text);

// `count` bytes from the operating system's random source.
[[nodiscard]] Bytes RandomBytes(size_t count);

}  // namespace backup_ext
