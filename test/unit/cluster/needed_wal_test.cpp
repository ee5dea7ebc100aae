// Every segment of WAL that is missing is named. More cases: test/unit/restore/wal_plan_test.cpp.
#include "cluster/needed_wal.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr uint32_t kSegment = 1024 * 1024;

TEST(NeededWal, NamesAllThatIsMissing) {
  const std::vector<WalSpan> spans = {{2, 5 * kSegment + 100, 7 * kSegment},
                                      {1, 2 * kSegment + 8, 5 * kSegment + 100}};
  const WalFiles files = {{"000000010000000000000002", kSegment},
                          {"000000010000000000000004", 5000},
                          {"000000020000000000000005", kSegment}};
  std::vector<std::string> found;
  for (const MissingWal& missing : FindMissingWal(spans, files, kSegment, 100)) {
    found.push_back(missing.Describe());
  }
  EXPECT_EQ(found, (std::vector<std::string>{
                       "WAL segment 000000020000000000000006 is missing",
                       "WAL segment 000000010000000000000003 is missing",
                       "WAL segment 000000010000000000000004 has 5000 bytes instead of 1048576"}));
  EXPECT_EQ(FindMissingWal(spans, files, kSegment, 2).size(), 2U);
}

TEST(NeededWal, EndsWhereTheLimitIs) {
  // A span that no cluster has must not be walked through.
  const std::vector<WalSpan> spans = {{1, 1, UINT64_MAX}};
  EXPECT_EQ(FindMissingWal(spans, {}, kSegment, 3).size(), 3U);
}

TEST(NeededWal, RefusesSpansThatCannotBe) {
  for (const WalSpan& span : {WalSpan{1, 0, 100}, WalSpan{1, 100, 100}, WalSpan{1, 100, 99}}) {
    EXPECT_THROW(static_cast<void>(FindMissingWal({span}, {}, kSegment, 1)), Error);
  }
  EXPECT_THROW(static_cast<void>(FindMissingWal({{1, 1, 2}}, {}, 3, 1)), Error);
}

}  // namespace
}  // namespace backup_ext
