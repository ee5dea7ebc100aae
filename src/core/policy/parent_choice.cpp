// Which earlier backup the next one may refer to.
#include "policy/parent_choice.h"

#include <fmt/format.h>

#include <algorithm>

namespace backup_ext {
namespace {

constexpr Microseconds kEarliestBy = 12LL * 3600 * kMicrosecondsPerSecond;

bool IsOnHistory(const std::vector<TimelineSpan>& history, uint32_t timeline, uint64_t lsn) {
  return std::ranges::any_of(history, [&](const TimelineSpan& span) {
    return span.timeline == timeline && span.begin_lsn <= lsn && lsn <= span.end_lsn;
  });
}

std::string WhyOtherShape(const ClusterShape& then, const ClusterShape& now) {
  if (then.system_identifier != now.system_identifier) return "was taken of another cluster";
  if (then.control_version != now.control_version || then.catalog_version != now.catalog_version) {
    return "was taken of another version of PostgreSQL";
  }
  if (then.block_bytes != now.block_bytes || then.segment_blocks != now.segment_blocks) {
    return "was taken of a cluster with another block or segment size";
  }
  if (then.data_checksums != now.data_checksums) {
    return "was taken when data checksums were switched the other way";
  }
  return {};
}

}  // namespace

std::string WhyNoParent(const ParentCandidate& candidate, const ClusterNow& now) {
  std::string reason = WhyOtherShape(candidate.shape, now.shape);
  if (!reason.empty()) return reason;
  if (candidate.state == "damaged") return "holds damaged pages";
  if (candidate.state != "complete" && candidate.state != "interrupted") {
    return fmt::format("is in state \"{}\"", candidate.state);
  }
  if (candidate.is_found_damaged) return "was found damaged when it was verified";
  // What it read up to its stop may come from after the place where the histories parted.
  if (!IsOnHistory(now.history, candidate.start_timeline, candidate.start_lsn) ||
      !IsOnHistory(now.history, candidate.stop_timeline, candidate.stop_lsn) ||
      candidate.start_lsn > now.start_lsn || candidate.stop_lsn > now.wal_lsn) {
    return "does not lie on the timeline history of this cluster";
  }
  if (!candidate.is_remembered) {
    return "is not remembered by this data directory, which was restored, set back or made anew";
  }
  return {};
}

bool IsFullBackupDue(Microseconds newest_full, Microseconds full_interval, Microseconds now) {
  if (full_interval <= 0) return false;
  if (newest_full == 0) return true;
  const Microseconds early_by = std::min(full_interval / 10, kEarliestBy);
  // A full backup in the future (the clock was wrong) is believed for one interval.
  const Microseconds age = now - newest_full;
  return age >= full_interval - early_by || age < -full_interval;
}

}  // namespace backup_ext
