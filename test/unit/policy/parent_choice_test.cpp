// Which backup may be a parent, and when a fresh full one is due.
#include "policy/parent_choice.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace backup_ext {
namespace {

constexpr Microseconds kHour = 3600 * kMicrosecondsPerSecond;
constexpr Microseconds kDay = 24 * kHour;

// Timeline 1 up to 0x5000, 3 up to 0x8000, now on 4.
ClusterNow NowOfTest() {
  return {{7, 1300, 202209061, 8192, 131072, true},
          {{1, 0, 0x5000}, {3, 0x5000, 0x8000}, {4, 0x8000, UINT64_MAX}},
          0x9000,
          0xa000};
}

ParentCandidate GoodCandidate() {
  return {NowOfTest().shape, "complete", 3, 0x6000, 3, 0x7000, true, false};
}

TEST(ParentChoice, NamesTheReason) {
  struct Row {
    const char* name;
    std::function<void(ParentCandidate*)> change;
    std::string reason;
  };
  const std::string off_history = "does not lie on the timeline history of this cluster";
  const Row rows[] = {
      {"good", [](auto*) {}, ""},
      {"interrupted", [](auto* p) { p->state = "interrupted"; }, ""},
      {"system identifier", [](auto* p) { p->shape.system_identifier = 8; },
       "was taken of another cluster"},
      {"control version", [](auto* p) { p->shape.control_version = 1201; },
       "was taken of another version of PostgreSQL"},
      {"catalog version", [](auto* p) { p->shape.catalog_version = 1; },
       "was taken of another version of PostgreSQL"},
      {"block size", [](auto* p) { p->shape.block_bytes = 4096; },
       "was taken of a cluster with another block or segment size"},
      {"segment size", [](auto* p) { p->shape.segment_blocks = 6; },
       "was taken of a cluster with another block or segment size"},
      {"checksums", [](auto* p) { p->shape.data_checksums = false; },
       "was taken when data checksums were switched the other way"},
      {"damaged", [](auto* p) { p->state = "damaged"; }, "holds damaged pages"},
      {"unknown state", [](auto* p) { p->state = "odd"; }, "is in state \"odd\""},
      {"verified", [](auto* p) { p->is_found_damaged = true; },
       "was found damaged when it was verified"},
      {"not remembered", [](auto* p) { p->is_remembered = false; },
       "is not remembered by this data directory, which was restored, set back or made anew"},
      {"on the oldest timeline",
       [](auto* p) {
         p->start_timeline = p->stop_timeline = 1;
         p->start_lsn = 0x1000;
         p->stop_lsn = 0x5000;
       },
       ""},
      {"past the end of its timeline",
       [](auto* p) {
         p->start_timeline = p->stop_timeline = 1;
         p->start_lsn = 0x1000;
         p->stop_lsn = 0x5001;
       },
       off_history},
      {"a timeline that is not ours", [](auto* p) { p->start_timeline = p->stop_timeline = 2; },
       off_history},
      {"before the begin of its timeline", [](auto* p) { p->start_lsn = 0x4fff; }, off_history},
      {"over a switch of timelines",
       [](auto* p) {
         p->start_timeline = 1;
         p->start_lsn = 0x4000;
       },
       ""},
      {"the start of this one",
       [](auto* p) {
         p->start_timeline = p->stop_timeline = 4;
         p->start_lsn = 0x9000;
         p->stop_lsn = 0xa000;
       },
       ""},
      {"a later start than this one",
       [](auto* p) {
         p->start_timeline = p->stop_timeline = 4;
         p->start_lsn = 0x9001;
         p->stop_lsn = 0xa000;
       },
       off_history},
      {"WAL that was lost",
       [](auto* p) {
         p->start_timeline = p->stop_timeline = 4;
         p->start_lsn = 0x9000;
         p->stop_lsn = 0xa001;
       },
       off_history},
  };
  for (const Row& row : rows) {
    ParentCandidate candidate = GoodCandidate();
    row.change(&candidate);
    EXPECT_EQ(WhyNoParent(candidate, NowOfTest()), row.reason) << row.name;
  }
}

TEST(ParentChoice, TellsWhenAFullBackupIsDue) {
  constexpr Microseconds kNow = 1000 * kDay;
  struct Row {
    const char* name;
    Microseconds newest_full;
    Microseconds interval;
    bool is_due;
  };
  const Row rows[] = {
      {"never wanted", 0, 0, false},
      {"never wanted, old one", kNow - 900 * kDay, 0, false},
      {"none yet", 0, 7 * kDay, true},
      {"fresh", kNow - kDay, 7 * kDay, false},
      {"just not 12 hours early", kNow - 7 * kDay + 12 * kHour + 1, 7 * kDay, false},
      {"12 hours early", kNow - 7 * kDay + 12 * kHour, 7 * kDay, true},
      {"a tenth early", kNow - 9 * kHour, 10 * kHour, true},
      {"just not a tenth early", kNow - 9 * kHour + 1, 10 * kHour, false},
      {"old", kNow - 30 * kDay, 7 * kDay, true},
      {"a clock that was wrong", kNow + kDay, 7 * kDay, false},
      {"a clock that was wrong by an interval", kNow + 7 * kDay, 7 * kDay, false},
      {"a clock that was wrong by more", kNow + 7 * kDay + 1, 7 * kDay, true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(IsFullBackupDue(row.newest_full, row.interval, kNow), row.is_due) << row.name;
  }
}

}  // namespace
}  // namespace backup_ext
