// Control files, whole and damaged.
//
// The control file is a real one: made by initdb of version 15 and captured from the running
// server. The expected values are what pg_controldata said of it.
#include "cluster/control_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>

#include "base/digest.h"

namespace backup_ext {
namespace {

constexpr std::string_view kCapturedHex =
    "e1ecf2b6681b046b1405000025770d0c0600000000000000aa1c046b00000000"
    "f023e30600000000b823e3060000000001000000010000000100000000000000"
    "e502000000000000006000000100000000000000cc0200000100000001000000"
    "0100000000000000a61c046b000000000000000000000000e502000000000000"
    "e803000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000010000000000000064000000080000000a000000"
    "000000004000000000000000080000000000000087d632410020000000000200"
    "00200000000000014000000020000000cc070000000800000100000001000000"
    "cb70701060ba0844aea800fced17bd77132d68021b41ac66e7379ede84d8a8e6"
    "54e0e248";
constexpr size_t kCrcOffset = 288;  // offsetof(ControlFileData, crc) of version 15

Bytes CapturedControlFile() {
  Bytes bytes = HexDecode(kCapturedHex);
  bytes.resize(kControlFileBytes);
  return bytes;
}

// Moves the end of the struct, as another version would, and makes its CRC right.
void WriteCrc(Bytes* bytes, size_t offset) {
  const uint32_t crc = Crc32cFinish(Crc32cUpdate(kCrc32cInit, ByteSpan(*bytes).first(offset)));
  std::memcpy(bytes->data() + offset, &crc, sizeof(crc));
}

template <typename T>
void Put(Bytes* bytes, size_t offset, T value) {
  std::memcpy(bytes->data() + offset, &value, sizeof(value));
}

TEST(ControlFile, SaysWhatPgControldataSays) {
  const std::optional<ControlFile> file = ParseControlFile(CapturedControlFile());
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->system_identifier, 7711318598525054177U);
  EXPECT_EQ(file->control_version, 1300U);
  EXPECT_EQ(file->catalog_version, 202209061U);
  EXPECT_EQ(file->checkpoint_timeline, 1U);
}

// "Database cluster state": 6 is "in production".
TEST(ControlFile, TellsAnOrderlyShutdown) {
  constexpr size_t kStateOffset = 16;
  Bytes bytes = CapturedControlFile();
  EXPECT_EQ(ParseControlFile(bytes)->state, 6U);
  for (uint32_t state = 0; state <= 6; ++state) {
    Put(&bytes, kStateOffset, state);
    WriteCrc(&bytes, kCrcOffset);
    EXPECT_EQ(WasShutDown(*ParseControlFile(bytes)), state == 1 || state == 2) << state;
    EXPECT_EQ(WasInRecovery(*ParseControlFile(bytes)), state >= 2 && state <= 5) << state;
  }
}

TEST(ControlFile, RefusesEveryFlippedBit) {
  Bytes bytes = CapturedControlFile();
  for (size_t bit = 0; bit < (kCrcOffset + 4) * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_FALSE(ParseControlFile(bytes).has_value()) << "bit " << bit;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  EXPECT_TRUE(ParseControlFile(bytes).has_value());
}

TEST(ControlFile, RefusesTornRead) {
  const Bytes before = CapturedControlFile();
  Bytes after = before;
  Put<uint64_t>(&after, 24, 1795430000);  // time
  Put<uint64_t>(&after, 32, 0x7000028);   // checkPoint
  Put<uint64_t>(&after, 40, 0x7000028);   // checkPointCopy.redo
  Put<uint32_t>(&after, 136, 1234);
  WriteCrc(&after, kCrcOffset);
  ASSERT_TRUE(ParseControlFile(after).has_value());
  for (size_t torn_at = 28; torn_at < kCrcOffset + 4; torn_at += 4) {
    Bytes torn = after;
    std::copy(before.begin() + static_cast<std::ptrdiff_t>(torn_at), before.end(),
              torn.begin() + static_cast<std::ptrdiff_t>(torn_at));
    EXPECT_FALSE(ParseControlFile(torn).has_value()) << "torn at " << torn_at;
  }
}

TEST(ControlFile, FindsTheCrcWhereverTheVersionPutsIt) {
  for (size_t offset = 200; offset <= 500; offset += 4) {
    Bytes bytes = CapturedControlFile();
    // Nothing of the captured struct is left behind the new end.
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(std::min(offset, kCrcOffset)),
              bytes.end(), std::byte{0});
    WriteCrc(&bytes, offset);
    EXPECT_TRUE(ParseControlFile(bytes).has_value()) << "offset " << offset;
  }
}

TEST(ControlFile, DoesNotLookForTheCrcOutsideTheStructsRange) {
  for (const size_t offset : {100, 196, 202, 504, 600}) {
    Bytes bytes = CapturedControlFile();
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(std::min(offset, kCrcOffset)),
              bytes.end(), std::byte{0});
    WriteCrc(&bytes, offset);
    EXPECT_FALSE(ParseControlFile(bytes).has_value()) << "offset " << offset;
  }
}

TEST(ControlFile, RefusesAnImpossibleVersionWithARightCrc) {
  for (const auto& [version, good] : {std::pair{0U, false},
                                      {1299U, false},
                                      {1300U, true},
                                      {1905U, true},
                                      {9999U, true},
                                      {10000U, false},
                                      {0x14050000U, false}}) {
    Bytes bytes = CapturedControlFile();
    Put<uint32_t>(&bytes, 8, version);
    WriteCrc(&bytes, kCrcOffset);
    EXPECT_EQ(ParseControlFile(bytes).has_value(), good) << version;
  }
}

TEST(ControlFile, RefusesSystemIdentifierZeroWithARightCrc) {
  Bytes bytes = CapturedControlFile();
  Put<uint64_t>(&bytes, 0, 0);
  WriteCrc(&bytes, kCrcOffset);
  EXPECT_FALSE(ParseControlFile(bytes).has_value());
}

TEST(ControlFile, RefusesAnyOtherSize) {
  const Bytes whole = CapturedControlFile();
  for (const size_t size : {0, 16, 292, 512, 8191}) {
    EXPECT_FALSE(ParseControlFile(ByteSpan(whole).first(size)).has_value()) << size;
  }
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(ParseControlFile(longer).has_value());
}

TEST(ControlFile, RefusesZeroesAndNoise) {
  EXPECT_FALSE(ParseControlFile(Bytes(kControlFileBytes)).has_value());
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Bytes noise(kControlFileBytes);
  for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
  Put<uint32_t>(&noise, 8, 1300);
  EXPECT_FALSE(ParseControlFile(noise).has_value());
}

}  // namespace
}  // namespace backup_ext
