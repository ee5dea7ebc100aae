// Byte strings, and the little-endian and varint encodings that every stored object uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace backup_ext {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

[[nodiscard]] inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The integer at that offset, in the byte order of this machine. All of it lies within `bytes`.
template <typename T>
[[nodiscard]] T LoadAt(ByteSpan bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Appends to a buffer that it owns. Integers are little-endian; varints are LEB128 (7 bits a byte,
// lowest first); a string is its length as a varint, then its bytes.
class ByteWriter {
 public:
  void PutU8(uint8_t value);
  void PutU16(uint16_t value);
  void PutU32(uint32_t value);
  void PutU64(uint64_t value);
  void PutVarint(uint64_t value);
  void PutSignedVarint(int64_t value);  // zigzag
  void PutBytes(ByteSpan bytes);
  void PutString(std::string_view text);

  [[nodiscard]] size_t size() const { return buffer_.size(); }
  [[nodiscard]] ByteSpan bytes() const { return buffer_; }
  [[nodiscard]] Bytes Take() { return std::move(buffer_); }
  void Clear() { buffer_.clear(); }

 private:
  Bytes buffer_;
};

// Reads what ByteWriter wrote. Every call checks its bounds and throws Error(kDamaged) with the
// name of what was read ("manifest entry ends early") rather than reading past the end; a length
// is compared with what is left before anything is allocated. A varint above 64 bits, or with more
// bytes than it needs, is an error too.
class ByteReader {
 public:
  // `what` names the thing in error messages. `bytes` must outlive the reader.
  ByteReader(ByteSpan bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  [[nodiscard]] uint8_t GetU8();
  [[nodiscard]] uint16_t GetU16();
  [[nodiscard]] uint32_t GetU32();
  [[nodiscard]] uint64_t GetU64();
  [[nodiscard]] uint64_t GetVarint();
  [[nodiscard]] int64_t GetSignedVarint();
  [[nodiscard]] ByteSpan GetBytes(size_t count);
  [[nodiscard]] std::string GetString();

  [[nodiscard]] size_t remaining() const { return bytes_.size() - position_; }
  [[nodiscard]] bool AtEnd() const { return remaining() == 0; }

 private:
  [[noreturn]] void ThrowEndsEarly() const;

  ByteSpan bytes_;
  size_t position_ = 0;
  std::string what_;
};

}  // namespace backup_ext
