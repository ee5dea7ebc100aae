// Little-endian integers, varints and strings, written and read with bounds checks.
#include "base/bytes.h"

#include <fmt/core.h>

#include "base/error.h"

namespace backup_ext {
namespace {

template <typename Integer>
void PutLittleEndian(Integer value, Bytes* buffer) {
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    buffer->push_back(static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

template <typename Integer>
Integer GetLittleEndian(ByteSpan bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  return static_cast<Integer>(value);
}

}  // namespace

void ByteWriter::PutU8(uint8_t value) { buffer_.push_back(static_cast<std::byte>(value)); }
void ByteWriter::PutU16(uint16_t value) { PutLittleEndian(value, &buffer_); }
void ByteWriter::PutU32(uint32_t value) { PutLittleEndian(value, &buffer_); }
void ByteWriter::PutU64(uint64_t value) { PutLittleEndian(value, &buffer_); }

void ByteWriter::PutVarint(uint64_t value) {
  while (value >= 0x80) {
    buffer_.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  buffer_.push_back(static_cast<std::byte>(value));
}

void ByteWriter::PutSignedVarint(int64_t value) {
  const uint64_t sign = value < 0 ? ~uint64_t{0} : 0;
  PutVarint((static_cast<uint64_t>(value) << 1) ^ sign);
}

void ByteWriter::PutBytes(ByteSpan bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::PutString(std::string_view text) {
  PutVarint(text.size());
  PutBytes(AsBytes(text));
}

uint8_t ByteReader::GetU8() { return GetLittleEndian<uint8_t>(GetBytes(1)); }
uint16_t ByteReader::GetU16() { return GetLittleEndian<uint16_t>(GetBytes(2)); }
uint32_t ByteReader::GetU32() { return GetLittleEndian<uint32_t>(GetBytes(4)); }
uint64_t ByteReader::GetU64() { return GetLittleEndian<uint64_t>(GetBytes(8)); }

uint64_t ByteReader::GetVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = GetU8();
    // The tenth byte has room for one bit; a last byte of zero would be a second way to write the
    // same number.
    if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0)) {
      break;
    }
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      return value;
    }
  }
  throw Error(ErrorCode::kDamaged, fmt::format("{} holds an invalid number", what_));
}

int64_t ByteReader::GetSignedVarint() {
  const uint64_t value = GetVarint();
  const uint64_t sign = (value & 1) != 0 ? ~uint64_t{0} : 0;
  return static_cast<int64_t>((value >> 1) ^ sign);
}

ByteSpan ByteReader::GetBytes(size_t count) {
  if (count > remaining()) {
    ThrowEndsEarly();
  }
  const ByteSpan result = bytes_.subspan(position_, count);
  position_ += count;
  return result;
}

std::string ByteReader::GetString() {
  const uint64_t length = GetVarint();
  if (length > remaining()) {
    ThrowEndsEarly();
  }
  return std::string(AsText(GetBytes(static_cast<size_t>(length))));
}

void ByteReader::ThrowEndsEarly() const {
  throw Error(ErrorCode::kDamaged, fmt::format("{} ends early", what_));
}

}  // namespace backup_ext
