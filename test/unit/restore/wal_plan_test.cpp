// The WAL that a backup needs.
#include "restore/wal_plan.h"

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

constexpr uint64_t kSegment = 1024 * 1024;

struct WalCase {
  const char* name;
  std::vector<WalRange> ranges;
  WalFiles files;
  const char* expected;  // nullptr: complete
};

TEST(WalPlan, FindsEveryGap) {
  const std::string segment2 = "000000010000000000000002";
  const std::string segment3 = "000000010000000000000003";
  const std::string segment4 = "000000010000000000000004";
  const std::vector<WalRange> two = {{1, 2 * kSegment + 40, 4 * kSegment + 500}};
  const std::vector<WalCase> table = {
      {"whole", two, {{segment2, kSegment}, {segment3, kSegment}, {segment4, kSegment}}, nullptr},
      {"last one short",
       two,
       {{segment2, kSegment}, {segment3, kSegment}, {segment4, 500}},
       nullptr},
      {"last one too short",
       two,
       {{segment2, kSegment}, {segment3, kSegment}, {segment4, 499}},
       "WAL segment 000000010000000000000004 has 499 bytes instead of 500"},
      {"middle short",
       two,
       {{segment2, kSegment}, {segment3, 8192}, {segment4, kSegment}},
       "WAL segment 000000010000000000000003 has 8192 bytes instead of 1048576"},
      {"middle missing",
       two,
       {{segment2, kSegment}, {segment4, kSegment}},
       "WAL segment 000000010000000000000003 is missing"},
      {"first missing",
       two,
       {{segment3, kSegment}, {segment4, kSegment}},
       "WAL segment 000000010000000000000002 is missing"},
      {"end on a boundary", {{1, 2 * kSegment, 3 * kSegment}}, {{segment2, kSegment}}, nullptr},
      {"newer timeline holds the switch",
       {{2, 2 * kSegment + 90, 2 * kSegment + 100}, {1, 2 * kSegment + 40, 2 * kSegment + 90}},
       {{"000000020000000000000002", kSegment}},
       nullptr},
      {"older timeline does not hold the newer",
       {{2, 2 * kSegment + 90, 2 * kSegment + 100}, {1, 2 * kSegment + 40, 2 * kSegment + 90}},
       {{segment2, kSegment}},
       "WAL segment 000000020000000000000002 is missing"},
      {"backwards", {{1, 500, 400}}, {}, "its record names WAL from"},
  };
  for (const WalCase& test : table) {
    SCOPED_TRACE(test.name);
    BackupRecord record;
    record.wal_segment_bytes = kSegment;
    record.wal_ranges = test.ranges;
    const auto error = ErrorOf([&] { CheckWalIsComplete(record, test.files); });
    ASSERT_EQ(error.has_value(), test.expected != nullptr);
    if (!error) continue;
    EXPECT_EQ(error->code(), ErrorCode::kDamaged);
    EXPECT_THAT(error->message(), testing::HasSubstr(test.expected));
  }
}

TEST(WalPlan, ARecordWithoutRangesGoesFromStartToStop) {
  BackupRecord record;
  record.timeline = 4;
  record.start_lsn = 10;
  record.stop_lsn = 20;
  EXPECT_EQ(WalRangesOf(record), (std::vector<WalRange>{{4, 10, 20}}));
}

}  // namespace
}  // namespace backup_ext
