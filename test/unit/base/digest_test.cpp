// Checksums against published values, and against each other.
#include "base/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/crc32c.h"
#include "base/error.h"

namespace backup_ext {
namespace {

TEST(Crc32c, MatchesCheckValue) {
  const ByteSpan input = AsBytes("123456789");
  EXPECT_EQ(Crc32cFinish(Crc32cUpdate(kCrc32cInit, input)), 0xE3069283U);
  EXPECT_EQ(Crc32cFinish(Crc32cUpdatePortable(kCrc32cInit, input)), 0xE3069283U);
}

// RFC 3720, B.4: 32 bytes of zeros, 32 bytes of ones.
TEST(Crc32c, MatchesIscsiExamples) {
  EXPECT_EQ(Crc32cFinish(Crc32cUpdate(kCrc32cInit, Bytes(32))), 0x8A9136AAU);
  EXPECT_EQ(Crc32cFinish(Crc32cUpdate(kCrc32cInit, Bytes(32, std::byte{0xFF}))), 0x62A8AB43U);
}

TEST(Crc32c, PortableAndProcessorAgree) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Bytes bytes(300);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random());
  }
  for (size_t length = 0; length <= 256; ++length) {
    const ByteSpan part = ByteSpan(bytes).subspan(random() % 40, length);
    const auto start = static_cast<uint32_t>(random());
    ASSERT_EQ(Crc32cUpdate(start, part), Crc32cUpdatePortable(start, part)) << length;
    const size_t cut = length == 0 ? 0 : random() % length;
    ASSERT_EQ(Crc32cUpdate(Crc32cUpdate(start, part.first(cut)), part.subspan(cut)),
              Crc32cUpdate(start, part));
  }
}

// The values for empty input, seed 0, of the sanity tests that come with xxHash.
TEST(Xxh3, MatchesReferenceOfEmptyInput) {
  EXPECT_EQ(HexEncode(Xxh3Digest({})), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Xxh3Short({}), 0x2D06800538D394C2U);
}

TEST(Xxh3, StreamEqualsWhole) {
  Bytes bytes(100000);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 31 >> 3);
  }
  Xxh3Stream stream;
  stream.Update({});
  for (size_t done = 0; done < bytes.size();) {
    const size_t step = std::min<size_t>(done % 977 + 1, bytes.size() - done);
    stream.Update(ByteSpan(bytes).subspan(done, step));
    done += step;
    if (done % 5 == 0) {
      ASSERT_EQ(stream.Finish(), Xxh3Digest(ByteSpan(bytes).first(done)));
    }
  }
  EXPECT_EQ(stream.Finish(), Xxh3Digest(bytes));
}

// FIPS 180-4 example: "abc".
TEST(Sha256, MatchesPublishedExample) {
  Sha256Stream stream;
  stream.Update(AsBytes("a"));
  stream.Update(AsBytes("bc"));
  EXPECT_EQ(HexEncode(stream.Finish()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hex, ComesBackAndRefusesOtherText) {
  const Bytes bytes = RandomBytes(57);
  EXPECT_EQ(HexDecode(HexEncode(bytes)), bytes);
  EXPECT_EQ(HexDecode("aAfF"), HexDecode("AAFF"));
  EXPECT_THROW(static_cast<void>(HexDecode("abc")), Error);
  EXPECT_THROW(static_cast<void>(HexDecode("0g")), Error);
  EXPECT_THROW(static_cast<void>(HexDecode("0x")), Error);
}

TEST(RandomBytes, DiffersEachTime) {
  EXPECT_NE(RandomBytes(16), RandomBytes(16));
  EXPECT_EQ(RandomBytes(1000).size(), 1000U);
}

}  // namespace
}  // namespace backup_ext
