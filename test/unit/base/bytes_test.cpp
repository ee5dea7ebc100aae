// Integers, varints and strings come back as they went in; damaged ones are refused.
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/error.h"

namespace backup_ext {
namespace {

Bytes FromList(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) {
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

TEST(Bytes, IntegersAreLittleEndian) {
  ByteWriter out;
  out.PutU8(1);
  out.PutU16(0x0203);
  out.PutU32(0x04050607);
  out.PutU64(0x08090A0B0C0D0E0F);
  EXPECT_EQ(out.bytes().size(), 15U);
  EXPECT_EQ(out.Take(), FromList({1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8}));
}

TEST(Bytes, VarintsAreLeb128) {
  ByteWriter out;
  out.PutVarint(624485);  // the example of the DWARF standard
  out.PutSignedVarint(-1);
  out.PutSignedVarint(1);
  EXPECT_EQ(out.Take(), FromList({0xE5, 0x8E, 0x26, 1, 2}));
}

TEST(Bytes, RandomValuesComeBack) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20000; ++round) {
    const uint64_t value = random() >> (random() % 64);
    const auto signed_value = static_cast<int64_t>(round % 2 == 0 ? value : ~value);
    ByteWriter out;
    out.PutU16(static_cast<uint16_t>(value));
    out.PutU64(value);
    out.PutVarint(value);
    out.PutSignedVarint(signed_value);
    out.PutString(std::string(value % 200, 'x'));
    ByteReader in(out.bytes(), "test");
    ASSERT_EQ(in.GetU16(), static_cast<uint16_t>(value));
    ASSERT_EQ(in.GetU64(), value);
    ASSERT_EQ(in.GetVarint(), value);
    ASSERT_EQ(in.GetSignedVarint(), signed_value);
    ASSERT_EQ(in.GetString(), std::string(value % 200, 'x'));
    ASSERT_TRUE(in.AtEnd());
  }
}

TEST(Bytes, ExtremeVarintsComeBack) {
  for (const int64_t value : {std::numeric_limits<int64_t>::min(),
                              std::numeric_limits<int64_t>::max(), int64_t{0}, int64_t{-1}}) {
    ByteWriter out;
    out.PutSignedVarint(value);
    out.PutVarint(static_cast<uint64_t>(value));
    ByteReader in(out.bytes(), "test");
    EXPECT_EQ(in.GetSignedVarint(), value);
    EXPECT_EQ(in.GetVarint(), static_cast<uint64_t>(value));
  }
}

struct BadVarint {
  const char* name;
  Bytes bytes;
  const char* message;
};

TEST(Bytes, BadVarintsAreRefused) {
  const BadVarint cases[] = {
      {"empty", {}, "thing ends early"},
      {"cut", FromList({0x80}), "thing ends early"},
      {"65 bits", FromList({255, 255, 255, 255, 255, 255, 255, 255, 255, 2}),
       "thing holds an invalid number"},
      {"eleven bytes", FromList({255, 255, 255, 255, 255, 255, 255, 255, 255, 0x81, 0}),
       "thing holds an invalid number"},
      {"longer than needed", FromList({0x85, 0}), "thing holds an invalid number"},
  };
  for (const BadVarint& bad : cases) {
    SCOPED_TRACE(bad.name);
    ByteReader in(bad.bytes, "thing");
    try {
      static_cast<void>(in.GetVarint());
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDamaged);
      EXPECT_EQ(error.message(), bad.message);
    }
  }
}

TEST(Bytes, HostileStringLengthAllocatesNothing) {
  ByteWriter out;
  out.PutVarint(std::numeric_limits<uint64_t>::max());
  out.PutU64(0);
  ByteReader in(out.bytes(), "thing");
  EXPECT_THROW(static_cast<void>(in.GetString()), Error);
  EXPECT_THROW(static_cast<void>(in.GetBytes(std::numeric_limits<size_t>::max())), Error);
}

}  // namespace
}  // namespace backup_ext
