// Names of WAL files, and the first pages of segments.
//
// The headers are real: the first bytes of two segments of a version 15 cluster, of which the
// second had been recycled: renamed to a future name, with its old content still in it.
#include "cluster/wal_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

constexpr uint32_t kMiB = 1024 * 1024;
constexpr uint32_t kSegmentBytes = 16 * kMiB;
constexpr uint64_t kSystemIdentifier = 7711318598525054177U;

TEST(WalSegmentName, RoundTrips) {
  struct Row {
    WalSegment segment;
    uint32_t segment_bytes;
    std::string_view name;
  };
  const Row rows[] = {
      {{1, 1}, kSegmentBytes, "000000010000000000000001"},
      {{1, 255}, kSegmentBytes, "0000000100000000000000FF"},
      {{1, 256}, kSegmentBytes, "000000010000000100000000"},
      {{0xFFFFFFFF, 0xABCDE}, kSegmentBytes, "FFFFFFFF00000ABC000000DE"},
      {{2, 0xFFFFFFFFFF}, kSegmentBytes, "00000002FFFFFFFF000000FF"},
      {{3, 4095}, kMiB, "000000030000000000000FFF"},
      {{3, 4096}, kMiB, "000000030000000100000000"},
      {{3, 3}, 1024 * kMiB, "000000030000000000000003"},
      {{3, 4}, 1024 * kMiB, "000000030000000100000000"},
      {{1, 0}, kSegmentBytes, "000000010000000000000000"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(WalSegmentName(row.segment, row.segment_bytes), row.name);
    EXPECT_EQ(ParseWalSegmentName(row.name, row.segment_bytes), row.segment) << row.name;
  }
}

TEST(WalSegmentName, IsNoOtherName) {
  for (const std::string_view name :
       {"", "00000001000000000000000", "0000000100000000000000001", "00000001000000000000000a",
        "00000001000000000000000G", "000000010000000000000001.partial",
        "000000010000000000000001.00000028.backup", "00000001.history", "archive_status",
        "0x000001000000000000000A", "+00000010000000000000001",
        // Of a cluster with smaller segments: 16 MiB ones end at FF.
        "000000010000000000000100", "0000000100000000FFFFFFFF",
        // No timeline 0.
        "000000000000000000000001"}) {
    EXPECT_FALSE(ParseWalSegmentName(name, kSegmentBytes).has_value()) << name;
  }
}

TEST(WalSegmentName, NeedsASegmentSizeThatExists) {
  for (const uint32_t bytes : {0U, 1U, kMiB / 2, 3 * kMiB, 2048 * kMiB, 0xFFFFFFFFU}) {
    EXPECT_FALSE(ParseWalSegmentName("000000010000000000000001", bytes).has_value()) << bytes;
    EXPECT_THROW((void)WalSegmentName({1, 1}, bytes), Error) << bytes;
  }
  EXPECT_THROW((void)WalSegmentName({1, uint64_t{1} << 40}, kSegmentBytes), Error);
}

TEST(WalSegment, OfAPosition) {
  EXPECT_EQ(SegmentOfLsn(0x1000000, kSegmentBytes), 1U);
  EXPECT_EQ(SegmentOfLsn(0x1FFFFFF, kSegmentBytes), 1U);
  EXPECT_EQ(SegmentBefore(0x1000000, kSegmentBytes), 0U);
  EXPECT_EQ(SegmentBefore(0x1000001, kSegmentBytes), 1U);
  EXPECT_EQ(SegmentBefore(0x2000000, kSegmentBytes), 1U);
}

TEST(TimelineHistoryName, RoundTrips) {
  EXPECT_EQ(TimelineHistoryName(2), "00000002.history");
  EXPECT_EQ(TimelineHistoryName(0xABCDEF01), "ABCDEF01.history");
  EXPECT_EQ(ParseTimelineHistoryName("00000002.history"), 2U);
  EXPECT_EQ(ParseTimelineHistoryName("FFFFFFFF.history"), 0xFFFFFFFFU);
}

TEST(TimelineHistoryName, IsNoOtherName) {
  for (const std::string_view name :
       {"", ".history", "00000002", "0000002.history", "000000002.history", "0000000a.history",
        "00000002.History", "00000002.history.tmp", "00000000.history", "0000000G.history",
        "000000010000000000000001.history"}) {
    EXPECT_FALSE(ParseTimelineHistoryName(name).has_value()) << name;
  }
}

// 000000010000000000000006 of the cluster.
Bytes CurrentPage() {
  return HexDecode(
      "10d107000100000000000006000000004505000000000000e1ecf2b6681b046b0000000100200000");
}
// 000000010000000000000007, still with what was 000000010000000000000005.
Bytes RecycledPage() {
  return HexDecode(
      "10d107000100000000000005000000001c00000000000000e1ecf2b6681b046b0000000100200000");
}

std::string Check(const Bytes& page, const WalSegment& segment) {
  return CheckWalFirstPage(page, segment, kSegmentBytes, kSystemIdentifier);
}

TEST(WalFirstPage, OfTheSegmentItselfIsGood) {
  EXPECT_EQ(Check(CurrentPage(), {1, 6}), "");
  Bytes longer = CurrentPage();
  longer.resize(8192, std::byte{0xAA});
  EXPECT_EQ(Check(longer, {1, 6}), "");
}

TEST(WalFirstPage, OfARecycledSegmentIsRefused) {
  EXPECT_EQ(Check(RecycledPage(), {1, 7}), "holds WAL of 0/5000000, not of 0/7000000");
  EXPECT_EQ(Check(CurrentPage(), {1, 5}), "holds WAL of 0/6000000, not of 0/5000000");
  EXPECT_EQ(Check(CurrentPage(), {1, 0x106}), "holds WAL of 0/6000000, not of 1/6000000");
}

TEST(WalFirstPage, OfAnOlderTimelineIsGood) {
  EXPECT_EQ(Check(CurrentPage(), {2, 6}), "");
  Bytes page = CurrentPage();
  page[4] = std::byte{3};
  EXPECT_EQ(Check(page, {2, 6}), "is of timeline 3, not 2");
  page[4] = std::byte{0};
  EXPECT_EQ(Check(page, {2, 6}), "is of timeline 0, not 2");
}

TEST(WalFirstPage, OfAnotherClusterIsRefused) {
  EXPECT_EQ(CheckWalFirstPage(CurrentPage(), {1, 6}, kSegmentBytes, 42),
            "is of system identifier 7711318598525054177, not 42");
}

TEST(WalFirstPage, OfAnotherSegmentSizeIsRefused) {
  EXPECT_EQ(CheckWalFirstPage(CurrentPage(), {1, 6}, 64 * kMiB, kSystemIdentifier),
            "is of segment size 16777216, not 67108864");
}

TEST(WalFirstPage, WithAnImpossibleBlockSizeIsRefused) {
  for (const auto& [bytes, good] : {std::pair{0U, false},
                                    {512U, false},
                                    {1024U, true},
                                    {8192U, true},
                                    {65536U, true},
                                    {131072U, false},
                                    {8193U, false}}) {
    Bytes page = CurrentPage();
    const uint32_t block_bytes = bytes;
    std::memcpy(page.data() + 36, &block_bytes, sizeof(block_bytes));
    EXPECT_EQ(Check(page, {1, 6}).empty(), good) << bytes;
  }
}

TEST(WalFirstPage, WithoutALongHeaderIsRefused) {
  EXPECT_EQ(Check(Bytes(8192), {1, 6}), "has no WAL page header");
  Bytes page = CurrentPage();
  page[2] = std::byte{0x05};
  EXPECT_EQ(Check(page, {1, 6}), "does not begin with a long WAL page header");
  page[2] = std::byte{0x02};
  EXPECT_EQ(Check(page, {1, 6}), "");
}

TEST(WalFirstPage, CutShortIsRefused) {
  const Bytes page = CurrentPage();
  for (size_t size = 0; size < page.size(); ++size) {
    EXPECT_THAT(
        CheckWalFirstPage(ByteSpan(page).first(size), {1, 6}, kSegmentBytes, kSystemIdentifier),
        HasSubstr("ends within"))
        << size;
  }
}

}  // namespace
}  // namespace backup_ext
