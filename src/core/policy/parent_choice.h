// Which earlier backup the next one may refer to: pure decisions on plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace backup_ext {

// A timeline of the cluster's own history and where it was left; the current one ends nowhere.
struct TimelineSpan {
  uint32_t timeline = 0;
  uint64_t begin_lsn = 0;
  uint64_t end_lsn = UINT64_MAX;
};

// What must be alike for pages of one to stand in a backup of the other.
struct ClusterShape {
  uint64_t system_identifier = 0;
  uint32_t control_version = 0;
  uint32_t catalog_version = 0;
  uint32_t block_bytes = 0;
  uint32_t segment_blocks = 0;
  bool data_checksums = false;
  bool operator==(const ClusterShape&) const = default;
};

struct ClusterNow {
  ClusterShape shape;
  std::vector<TimelineSpan> history;  // oldest first, the current timeline last
  uint64_t start_lsn = 0;             // of the backup that begins
  uint64_t wal_lsn = 0;               // the newest WAL there is
};

struct ParentCandidate {
  ClusterShape shape;
  std::string state;  // "complete", "damaged", "interrupted"
  uint32_t start_timeline = 0;
  uint64_t start_lsn = 0;
  uint32_t stop_timeline = 0;
  uint64_t stop_lsn = 0;
  bool is_remembered = false;     // the data directory saw it being taken
  bool is_found_damaged = false;  // by the newest verification
};

// Empty when it may be a parent, else why it may not, to follow the words "backup X":
// `was taken of another cluster`. What is stored where is not looked at.
[[nodiscard]] std::string WhyNoParent(const ParentCandidate& candidate, const ClusterNow& now);

// Whether a fresh full backup is due. `newest_full`: start of the newest complete one, 0 for none.
// A little early rather than a whole window late: up to a tenth of the interval, 12 hours at most.
// `full_interval` 0: never.
[[nodiscard]] bool IsFullBackupDue(Microseconds newest_full, Microseconds full_interval,
                                   Microseconds now);

}  // namespace backup_ext
