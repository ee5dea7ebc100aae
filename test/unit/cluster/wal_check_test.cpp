// WAL is judged as recovery would judge it. Real WAL is judged by test/t/050_verify.pl.
#include "cluster/wal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

#include "cluster/wal_maker.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

constexpr uint32_t kSegmentBytes = 1024 * 1024;
constexpr uint64_t kSystemIdentifier = 7654321098765432109ULL;

struct Segment {
  WalSegment name;
  Bytes content;
};

// The problems of the segments, in order; "" where there is none.
std::vector<std::string> Check(WalCheck* check, const std::vector<Segment>& segments,
                               size_t piece_bytes = 256 * 1024) {
  std::vector<std::string> problems;
  for (const Segment& segment : segments) {
    check->BeginSegment(segment.name);
    for (size_t i = 0; i < segment.content.size(); i += piece_bytes) {
      check->Update(
          ByteSpan(segment.content).subspan(i, std::min(piece_bytes, segment.content.size() - i)));
    }
    const auto problem = check->EndSegment();
    problems.push_back(problem ? problem->problem : "");
  }
  return problems;
}

std::vector<Segment> AllOf(WalMaker* wal) {
  std::vector<Segment> segments;
  for (const auto& [name, bytes] : wal->files()) {
    segments.push_back({{name.first, name.second}, bytes});
  }
  for (Segment& segment : segments) {
    segment.content = wal->Segment(segment.name.number, segment.name.timeline);
  }
  return segments;
}

WalCheck CheckOf(uint64_t start, uint64_t end) {
  return {{{1, start, end}}, kSegmentBytes, kSystemIdentifier};
}

void ExpectSound(WalCheck check, const std::vector<Segment>& segments, size_t piece = 256 * 1024) {
  for (const std::string& problem : Check(&check, segments, piece)) EXPECT_EQ(problem, "");
  EXPECT_TRUE(check.IsComplete()) << std::hex << check.position();
}

TEST(WalCheck, FollowsRecordsOfAnyLength) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 20; round++) {
    WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
    for (uint32_t i = random() % 50; i > 0; i--) wal.Append(random() % 3000);
    const uint64_t start = wal.lsn();
    const size_t largest = round % 2 == 0 ? 200 : 300'000;
    while (wal.lsn() < 8ULL * kSegmentBytes) wal.Append(random() % largest);
    const uint64_t end = wal.lsn();
    for (int i = 0; i < 5; i++) wal.Append(random() % 3000);
    ExpectSound(CheckOf(start, end), AllOf(&wal), round % 3 == 0 ? 100'000 : 256 * 1024);
  }
}

// Nothing but what recovery does not look at either may be changed unseen. (The frames' digests see
// that too.)
TEST(WalCheck, FindsEveryChangedByte) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  wal.Append(100);
  const uint64_t start = wal.lsn();
  for (const size_t bytes : {10, 3000, 30'000, 7, 8192}) wal.Append(bytes);
  const uint64_t end = wal.lsn();
  wal.Append(100);
  Bytes sound = wal.Segment(5);
  sound.resize(64 * 1024);  // for speed
  ASSERT_LT(end % kSegmentBytes, sound.size());
  std::set<size_t> unseen;
  for (size_t i = start % kSegmentBytes; i < end % kSegmentBytes; i++) {
    Bytes changed = sound;
    changed[i] ^= std::byte{0x40};
    WalCheck check = CheckOf(start, end);
    const auto problems = Check(&check, {{{1, 5}, changed}});
    EXPECT_EQ(problems[0].empty(), check.IsComplete());
    if (problems[0].empty()) unseen.insert(i);
  }
  // Up to 7 bytes between two records, 4 at the end of a page header.
  EXPECT_LE(unseen.size(), 5U * 7 + (end - start) / 8192 * 4);
  for (const size_t i : unseen) {
    const bool in_page_header = i % 8192 >= 20 && i % 8192 < 24;
    EXPECT_TRUE(in_page_header || sound[i] == std::byte{0}) << i;
  }
}

TEST(WalCheck, JudgesNothingBeforeTheStartOrAfterTheEnd) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  for (int i = 0; i < 30; i++) wal.Append(1000);
  const uint64_t start = wal.lsn();
  for (int i = 0; i < 30; i++) wal.Append(1000);
  const uint64_t end = wal.lsn();
  for (int i = 0; i < 30; i++) wal.Append(1000);
  Bytes content = wal.Segment(5);
  for (size_t i = 40; i < start % kSegmentBytes / 8192 * 8192; i++) content[i] = std::byte{1};
  for (size_t i = end % kSegmentBytes; i < content.size(); i++) content[i] = std::byte{2};
  ExpectSound(CheckOf(start, end), {{{1, 5}, content}});
  // A standby's last segment ends where the backup does.
  content.resize(end % kSegmentBytes);
  ExpectSound(CheckOf(start, end), {{{1, 5}, content}});
}

TEST(WalCheck, ASwitchEndsItsSegment) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  const uint64_t start = wal.lsn();
  wal.Append(100);
  wal.Switch();
  wal.Append(200);
  ExpectSound(CheckOf(start, wal.lsn()), AllOf(&wal));
}

TEST(WalCheck, PassesOverARecordThatACrashTore) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  const uint64_t start = wal.lsn();
  wal.Append(100);
  wal.AppendTorn(20'000);
  wal.Append(300);
  ExpectSound(CheckOf(start, wal.lsn()), AllOf(&wal));
}

TEST(WalCheck, FollowsAPromotion) {
  for (const bool has_old_segment : {true, false}) {
    WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
    const uint64_t start = wal.lsn();
    while (wal.lsn() < 6ULL * kSegmentBytes + 30'000) wal.Append(5000);
    const uint64_t end_of_old = wal.lsn();
    wal.Promote(2);
    while (wal.lsn() < 7ULL * kSegmentBytes + 30'000) wal.Append(5000);
    const uint64_t end = wal.lsn();
    const std::vector<WalSpan> spans = {{2, end_of_old, end}, {1, start, end_of_old}};
    std::vector<Segment> segments = AllOf(&wal);
    ASSERT_EQ(segments.size(), 4U);  // 1/5, 1/6, 2/6, 2/7
    if (!has_old_segment) segments.erase(segments.begin() + 1);
    ExpectSound({spans, kSegmentBytes, kSystemIdentifier}, segments);
  }
}

struct Damage {
  const char* name;
  std::function<void(std::vector<Segment>*)> change;
  std::vector<std::string> expected;  // a part of each segment's problem
};

TEST(WalCheck, NamesDamageAndGoesOn) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  const uint64_t start = wal.lsn();
  while (wal.lsn() < 7ULL * kSegmentBytes + 100'000) wal.Append(900);
  const uint64_t end = wal.lsn();
  const std::vector<Segment> sound = AllOf(&wal);
  const auto page = [](Segment* segment, size_t number) {
    return segment->content.begin() + static_cast<ptrdiff_t>(number * 8192);
  };
  const std::vector<Damage> table = {
      {"none", [](auto*) {}, {"", "", ""}},
      {"a record",
       [&](auto* all) { page(&(*all)[1], 3)[4000] ^= std::byte{1}; },
       {"", "wrong checksum in the WAL record at 0/60", ""}},
      {"pages swapped",
       [&](auto* all) {
         std::swap_ranges(page(&(*all)[0], 3), page(&(*all)[0], 4), page(&(*all)[0], 7));
       },
       {"page of WAL 0/50E000 in the place of 0/506000", "", ""}},
      {"a page of zeros",
       [&](auto* all) { std::fill_n(page(&(*all)[1], 9), 8192, std::byte{0}); },
       {"", "page of WAL 0/0 in the place of 0/612000", ""}},
      {"the content of a page gone",
       [&](auto* all) { std::fill_n(page(&(*all)[1], 9) + 24, 8192 - 24, std::byte{0}); },
       {"", "0/6", ""}},
      {"another version's page",
       [&](auto* all) { page(&(*all)[1], 9)[0] ^= std::byte{1}; },
       {"", "magic number D111 instead of D110", ""}},
      {"another segment",
       [&](auto* all) { (*all)[1].content = (*all)[0].content; },
       {"", "WAL segment holds WAL of 0/500000, not of 0/600000", ""}},
      {"missing", [&](auto* all) { all->erase(all->begin() + 1); }, {"", ""}},
      {"two",
       [&](auto* all) {
         page(&(*all)[0], 3)[4000] ^= std::byte{1};
         page(&(*all)[2], 3)[4000] ^= std::byte{1};
       },
       {"wrong checksum", "", "wrong checksum"}},
      {"cut", [&](auto* all) { (*all)[2].content.resize(50'000); }, {"", "", ""}},
      {"cut in a page header",
       [&](auto* all) { (*all)[2].content.resize(49'152 + 10); },
       {"", "", "WAL ends within a page header"}},
      {"nothing of it",
       [&](auto* all) { (*all)[2].content.clear(); },
       {"", "", "ends within its first page header"}}};
  for (const Damage& damage : table) {
    SCOPED_TRACE(damage.name);
    std::vector<Segment> segments = sound;
    damage.change(&segments);
    WalCheck check = CheckOf(start, end);
    const std::vector<std::string> problems = Check(&check, segments);
    ASSERT_EQ(problems.size(), damage.expected.size());
    for (size_t i = 0; i < problems.size(); i++) {
      EXPECT_EQ(problems[i].empty(), damage.expected[i].empty()) << i << ": " << problems[i];
      EXPECT_THAT(problems[i], HasSubstr(damage.expected[i]));
    }
    EXPECT_EQ(check.IsComplete(), damage.name == std::string("none"));
  }
}

TEST(WalCheck, GoesOnBehindBytesThatCouldNotBeRead) {
  WalMaker wal(5, kSegmentBytes, kSystemIdentifier);
  const uint64_t start = wal.lsn();
  while (wal.lsn() < 6ULL * kSegmentBytes + 100'000) wal.Append(900);
  for (const size_t unread : {size_t{0}, size_t{1}, size_t{3}}) {
    WalCheck check = CheckOf(start, wal.lsn());
    for (const Segment& segment : AllOf(&wal)) {
      check.BeginSegment(segment.name);
      for (size_t piece = 0; piece < 4; piece++) {
        const ByteSpan bytes = ByteSpan(segment.content).subspan(piece * 262'144, 262'144);
        if (piece == unread && segment.name.number == 5) {
          check.Skip(bytes.size());
        } else {
          check.Update(bytes);
        }
      }
      EXPECT_FALSE(check.EndSegment()) << unread;
    }
    EXPECT_FALSE(check.IsComplete());
    EXPECT_EQ(check.position(), wal.lsn());
  }
}

}  // namespace
}  // namespace backup_ext
