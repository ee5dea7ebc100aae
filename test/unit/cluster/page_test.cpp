// Page headers and checksums.
//
// Checksums are judged by PostgreSQL: the values below were computed by pageinspect's
// page_checksum() of version 15.
#include "cluster/page.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "cluster/page_sum.h"

namespace backup_ext {
namespace {

constexpr size_t kPageBytes = 8192;

// The bytes that were given to page_checksum(): the high bytes of a linear congruential sequence.
Bytes MakePage(uint32_t seed, size_t page_bytes = kPageBytes) {
  Bytes page(page_bytes);
  for (std::byte& byte : page) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<std::byte>(seed >> 24);
  }
  return page;
}

void Put16(Bytes* page, size_t offset, uint16_t value) {
  std::memcpy(page->data() + offset, &value, sizeof(value));
}
void Put32(Bytes* page, size_t offset, uint32_t value) {
  std::memcpy(page->data() + offset, &value, sizeof(value));
}

struct ServerChecksum {
  uint32_t seed;
  uint32_t block;
  uint16_t expected;
};

constexpr ServerChecksum kServerChecksums[] = {
    {1, 0, 45143},      {2, 1, 24433},          {3, 5, 33639},         {4, 131071, 26250},
    {5, 131072, 28079}, {6, 2147483648, 11514}, {7, 4294967294, 8808}, {8, 70000, 36606},
};

TEST(PageChecksum, IsTheServers) {
  for (const ServerChecksum& row : kServerChecksums) {
    EXPECT_EQ(PageChecksum(MakePage(row.seed), row.block), row.expected) << "seed " << row.seed;
  }
}

TEST(PageChecksum, IsTheServersForUniformPages) {
  EXPECT_EQ(PageChecksum(Bytes(kPageBytes, std::byte{0xFF}), 0), 3612);
  Bytes page(kPageBytes);
  Put16(&page, 14, 0x2001);  // pd_upper: page_checksum() has no answer for a new page
  EXPECT_EQ(PageChecksum(page, 0), 22736);
}

TEST(PageChecksum, CountsTheStoredChecksumAsZeroAndLeavesThePage) {
  for (const uint32_t stored : {0x0000U, 0x00FFU, 0xFF00U, 0xFFFFU}) {
    Bytes page = MakePage(3);
    Put16(&page, 8, static_cast<uint16_t>(stored));
    const Bytes before = page;
    EXPECT_EQ(PageChecksum(page, 5), 33639) << stored;
    EXPECT_EQ(page, before);
  }
}

TEST(PageChecksum, CountsEveryOtherByte) {
  Bytes page = MakePage(3);
  for (size_t offset = 0; offset < page.size(); ++offset) {
    if (offset == 8 || offset == 9) continue;
    page[offset] ^= std::byte{0x10};
    EXPECT_NE(PageChecksum(page, 5), 33639) << "offset " << offset;
    page[offset] ^= std::byte{0x10};
  }
}

TEST(PageChecksum, TakesAnyAlignment) {
  const Bytes page = MakePage(2);
  for (size_t shift = 0; shift < 33; ++shift) {
    Bytes moved(shift);
    moved.insert(moved.end(), page.begin(), page.end());
    EXPECT_EQ(PageChecksum(ByteSpan(moved).subspan(shift), 1), 24433) << "shift " << shift;
  }
}

// One word after the other, as the algorithm is described.
uint16_t ObviousChecksum(const Bytes& page, uint32_t block, const uint32_t (&start)[32]) {
  uint32_t sums[32];
  std::memcpy(sums, start, sizeof(sums));
  const size_t words = page.size() / 4;
  for (size_t i = 0; i < words + 64; ++i) {
    uint32_t word = 0;
    if (i < words) std::memcpy(&word, page.data() + i * 4, 4);
    if (i == 2) word &= 0xFFFF0000;  // pd_checksum of a little-endian machine
    const uint32_t mixed = sums[i % 32] ^ word;
    sums[i % 32] = mixed * 16777619 ^ mixed >> 17;
  }
  uint32_t folded = 0;
  for (const uint32_t sum : sums) folded ^= sum;
  return static_cast<uint16_t>((folded ^ block) % 65535 + 1);
}

constexpr uint32_t kStart[32] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

TEST(PageChecksum, AgreesWithTheObviousWayForEveryPageSize) {
  for (const ServerChecksum& row : kServerChecksums) {
    ASSERT_EQ(ObviousChecksum(MakePage(row.seed), row.block, kStart), row.expected);
  }
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const size_t page_bytes : {1024, 2048, 4096, 8192, 16384, 32768}) {
    for (int i = 0; i < 20; ++i) {
      const Bytes page = MakePage(random(), page_bytes);
      const uint32_t block = random();
      EXPECT_EQ(PageChecksum(page, block), ObviousChecksum(page, block, kStart)) << page_bytes;
    }
  }
}

#if defined(__x86_64__)
TEST(PageSum, IsTheSameOnEveryProcessor) {
  if (!HasAvx2()) GTEST_SKIP() << "this processor has no AVX2";
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const Bytes page = MakePage(seed, size_t{1024} << seed % 6);
    EXPECT_EQ(SumPageAvx2(page.data(), page.size()), SumPagePlain(page.data(), page.size()));
  }
}
#endif

TEST(PageSum, PlainOneIsTheServers) {
  for (const ServerChecksum& row : kServerChecksums) {
    const Bytes page = MakePage(row.seed);
    EXPECT_EQ((SumPagePlain(page.data(), page.size()) ^ row.block) % 65535 + 1, row.expected);
  }
}

TEST(PageChecksum, RefusesASizeThatNoPageHas) {
  for (const size_t page_bytes : {0, 1, 128, 512, 1000, 8191, 8193, 12288, 65536}) {
    EXPECT_THROW((void)PageChecksum(Bytes(page_bytes), 0), Error) << page_bytes;
  }
}

TEST(PageView, ReadsTheHeader) {
  Bytes page(kPageBytes);
  Put32(&page, 0, 0x00000012);
  Put32(&page, 4, 0x89ABCDEF);
  Put16(&page, 8, 0xBEEF);
  Put16(&page, 10, 0x0004);
  Put16(&page, 12, 40);
  Put16(&page, 14, 0x2000);
  const PageView view(page);
  EXPECT_EQ(view.lsn(), 0x1289ABCDEFU);
  EXPECT_EQ(view.checksum(), 0xBEEF);
  EXPECT_TRUE(view.all_visible());
  EXPECT_FALSE(view.is_new());
  EXPECT_FALSE(view.is_zero());
}

TEST(PageView, TakesNoOtherFlagForAllVisible) {
  Bytes page(kPageBytes);
  Put16(&page, 10, 0xFFFB);
  EXPECT_FALSE(PageView(page).all_visible());
  Put16(&page, 10, 0x0005);
  EXPECT_TRUE(PageView(page).all_visible());
}

TEST(PageView, NewPageNeedNotBeZero) {
  Bytes page(kPageBytes);
  EXPECT_TRUE(PageView(page).is_new());
  EXPECT_TRUE(PageView(page).is_zero());
  page[kPageBytes - 1] = std::byte{1};
  EXPECT_TRUE(PageView(page).is_new());
  EXPECT_FALSE(PageView(page).is_zero());
  page[15] = std::byte{1};
  EXPECT_FALSE(PageView(page).is_new());
}

TEST(PageView, SeesEveryByteThatIsNotZero) {
  Bytes page(1024);
  for (std::byte& byte : page) {
    byte = std::byte{0x80};
    EXPECT_FALSE(PageView(page).is_zero());
    byte = std::byte{0};
  }
  EXPECT_FALSE(PageView(Bytes(1024, std::byte{7})).is_zero());
}

TEST(PageView, ReadsNothingBeyondAShortPage) {
  for (size_t size = 0; size < 16; ++size) {
    const Bytes page(size, std::byte{0xFF});
    const PageView view(page);
    EXPECT_TRUE(view.is_new()) << size;
    EXPECT_EQ(view.is_zero(), size == 0);
    EXPECT_EQ(view.all_visible(), size >= 12);
    EXPECT_EQ(view.checksum(), size >= 10 ? 0xFFFF : 0);
  }
}

}  // namespace
}  // namespace backup_ext
