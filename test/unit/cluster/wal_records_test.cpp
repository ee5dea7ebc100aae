// The records of WAL.
#include "cluster/wal_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "cluster/wal_builder.h"

namespace backup_ext {
namespace {

constexpr uint32_t kSegmentBytes = 1024 * 1024;
constexpr uint64_t kStart = 7 * kSegmentBytes + 40;

class WalRecordsTest : public testing::Test {
 protected:
  WalRecordReader NewReader(uint64_t start_lsn = kStart) {
    segments_.clear();
    for (uint64_t number = 7; number < 11; ++number) {
      segments_[number] = change_(number, wal_.Segment(number));
    }
    return WalRecordReader(start_lsn, {version_, kSegmentBytes, WalBuilder::kPageBytes},
                           [this](uint64_t lsn, std::span<std::byte> page) {
                             const auto found = segments_.find(lsn / kSegmentBytes);
                             if (found == segments_.end()) return false;
                             std::memcpy(page.data(), found->second.data() + lsn % kSegmentBytes,
                                         page.size());
                             return true;
                           });
  }
  static std::vector<uint64_t> LsnsOf(WalRecordReader reader) {
    std::vector<uint64_t> lsns;
    while (const auto record = reader.Next()) lsns.push_back(record->lsn);
    return lsns;
  }

  uint32_t version_ = 150018;
  WalBuilder wal_{kStart, kSegmentBytes};
  std::function<std::string(uint64_t, std::string)> change_ = [](uint64_t, std::string segment) {
    return segment;
  };
  std::map<uint64_t, std::string> segments_;
};

TEST_F(WalRecordsTest, RecordsOfEveryLengthComeBackAcrossPagesAndSegments) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::vector<std::pair<uint64_t, std::string>> expected;
  while (wal_.position() < 9 * kSegmentBytes + 500'000) {
    const size_t limit = random() % 20 == 0 ? 100'000 : 400;
    std::string data(random() % limit, static_cast<char>('a' + random() % 26));
    expected.emplace_back(wal_.Add(10, static_cast<uint8_t>(random() % 16 * 16), data), data);
  }
  WalRecordReader reader = NewReader();
  for (const auto& [lsn, data] : expected) {
    const auto record = reader.Next();
    ASSERT_TRUE(record);
    EXPECT_EQ(record->lsn, lsn);
    EXPECT_EQ(record->resource_manager, 10);
    EXPECT_TRUE(AsText(record->bytes).ends_with(data));
    size_t bytes = 0;
    for (const WalRecord::Piece& piece : record->pieces) {
      const std::string& segment = segments_[piece.lsn / kSegmentBytes];
      EXPECT_EQ(AsText(record->bytes).substr(bytes, piece.bytes),
                segment.substr(piece.lsn % kSegmentBytes, piece.bytes));
      bytes += piece.bytes;
    }
    EXPECT_EQ(bytes, record->bytes.size());
  }
  EXPECT_FALSE(reader.Next());
}

TEST_F(WalRecordsTest, ARecordMayEndWithItsPage) {
  wal_.FillTo(7 * kSegmentBytes + WalBuilder::kPageBytes);
  const uint64_t second = wal_.Add(10, 0, "second");
  EXPECT_EQ(second, 7 * kSegmentBytes + WalBuilder::kPageBytes + 24);
  EXPECT_THAT(LsnsOf(NewReader()), testing::ElementsAre(kStart, second));
}

TEST_F(WalRecordsTest, AfterASwitchTheNextSegmentGoesOn) {
  wal_.Add(10, 0, "first");
  wal_.Switch();
  const uint64_t next = wal_.Add(10, 0, "next");
  EXPECT_EQ(next, 8 * kSegmentBytes + 40);
  EXPECT_EQ(LsnsOf(NewReader()).back(), next);
}

TEST_F(WalRecordsTest, ARecordGivenUpInACrashIsPassedOver) {
  wal_.Add(10, 0, "first");
  wal_.AddAbandoned(std::string(20'000, 'x'), 10'000);
  const uint64_t next = wal_.Add(10, 0, "next");
  EXPECT_THAT(LsnsOf(NewReader()), testing::ElementsAre(kStart, next));
}

TEST_F(WalRecordsTest, ARecordGivenUpInACrashIsPassedOverIn19) {
  version_ = 190000;
  wal_.Add(10, 0, "first");
  wal_.AddAbandoned(std::string(20'000, 'x'), 10'000, 0x0004);
  const uint64_t next = wal_.Add(10, 0, "next");
  EXPECT_THAT(LsnsOf(NewReader()), testing::ElementsAre(kStart, next));
}

// On pages of 15 to 18 the bit of 19 says something else.
TEST_F(WalRecordsTest, PagesWithoutFullPagesAreReadUntil18) {
  const uint64_t long_one = wal_.Add(10, 0, std::string(50'000, 'x'));
  const uint64_t last = wal_.Add(10, 0, "last");
  change_ = [&](uint64_t number, std::string segment) {
    for (size_t page = 0; number == 7 && page < segment.size(); page += WalBuilder::kPageBytes) {
      segment[page + 2] |= 0x0004;
    }
    return segment;
  };
  EXPECT_THAT(LsnsOf(NewReader()), testing::ElementsAre(long_one, last));
}

TEST_F(WalRecordsTest, WalEndsAtTheFirstRecordThatIsNotSound) {
  wal_.Add(10, 0, "first");
  const uint64_t broken = wal_.Add(10, 0, "second");
  wal_.Add(10, 0, "third");
  for (const size_t offset : {0, 3, 8, 16, 17, 20, 24, 30}) {
    SCOPED_TRACE(offset);
    change_ = [&](uint64_t number, std::string segment) {
      if (number == 7) segment[broken % kSegmentBytes + offset] ^= 1;
      return segment;
    };
    WalRecordReader reader = NewReader();
    EXPECT_TRUE(reader.Next());
    EXPECT_FALSE(reader.Next());
    EXPECT_EQ(reader.position(), broken);
  }
}

TEST_F(WalRecordsTest, WalEndsWhereAPageIsThatOfRecycledWal) {
  wal_.Add(10, 0, "first");
  const uint64_t long_one = wal_.Add(10, 0, std::string(50'000, 'x'));
  change_ = [&](uint64_t number, std::string segment) {
    if (number == 7) segment[3 * WalBuilder::kPageBytes + 12] ^= 1;  // in its address
    return segment;
  };
  WalRecordReader reader = NewReader();
  EXPECT_TRUE(reader.Next());
  EXPECT_FALSE(reader.Next());
  EXPECT_EQ(reader.position(), long_one);
}

TEST_F(WalRecordsTest, GarbageEndsIt) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; ++i) wal_.Add(10, 0, std::string(random() % 300, 'x'));
  for (int round = 0; round < 20; ++round) {
    change_ = [&](uint64_t number, std::string segment) {
      for (int i = 0; number == 7 && i < 50; ++i) {
        segment[random() % segment.size()] = static_cast<char>(random());
      }
      return segment;
    };
    WalRecordReader reader = NewReader(kStart + random() % 1000);
    size_t records = 0;
    while (reader.Next()) ++records;
    EXPECT_LE(records, 2000U);
  }
}

}  // namespace
}  // namespace backup_ext
