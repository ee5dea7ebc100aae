// The WAL of one backup.
#include "wal_collector.h"

#include <algorithm>

#include "base/file.h"
#include "cluster/wal_file.h"

#include "guard.h"
#include "postgres_headers.h"
#include "version.h"

namespace backup_ext {
namespace {

constexpr uint64_t kHistoryLimitBytes = 16 * 1024 * 1024;

struct WalPosition {
  uint64_t lsn = 0;
  uint32_t timeline = 0;
};

// Up to where WAL is on disk and valid: flushed on a primary, received or replayed on a standby.
WalPosition DurableWal(bool in_recovery) {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  TimeLineID timeline = 0;
  CallPostgresUninterrupted([&] {
    if (!in_recovery) {
      lsn = GetFlushRecPtr(&timeline);
      return;
    }
    lsn = GetXLogReplayRecPtr(&timeline);
    TimeLineID received_timeline = 0;
    const XLogRecPtr received = GetWalRcvFlushRecPtr(nullptr, &received_timeline);
    if (received_timeline == timeline && received > lsn) lsn = received;
  });
  return {.lsn = lsn, .timeline = timeline};
}

// The newest position that a page can carry.
uint64_t NewestWal(bool in_recovery) {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  CallPostgresUninterrupted(
      [&] { lsn = in_recovery ? GetXLogReplayRecPtr(nullptr) : GetXLogInsertRecPtr(); });
  return lsn;
}

struct TimelinePart {
  uint32_t timeline = 0;
  uint64_t begin = 0;
  uint64_t end = 0;  // 0: still growing
};

// The history of `timeline`, newest first.
std::vector<TimelinePart> TimelineParts(uint32_t timeline) {
  constexpr int kLimit = 256;
  TimelinePart parts[kLimit];
  int count = 0;
  CallPostgresUninterrupted([&] {
    List* const history = readTimeLineHistory(timeline);
    ListCell* cell;
    foreach (cell, history) {
      const TimeLineHistoryEntry* const entry = static_cast<TimeLineHistoryEntry*>(lfirst(cell));
      if (count == kLimit) break;
      parts[count].timeline = entry->tli;
      parts[count].begin = entry->begin;
      parts[count].end = entry->end;
      count++;
    }
  });
  return {parts, parts + count};
}

}  // namespace

void HoldWal() {
  if (max_replication_slots == 0) {
    throw Error(ErrorCode::kNotInPrerequisiteState,
                "cannot take a backup while max_replication_slots is 0",
                "A temporary slot keeps the WAL of the backup until it is stored.",
                "Set max_replication_slots to 1 or more and restart the server.");
  }
  const int pid = getpid();
  CallPostgres([&] {
    char name[NAMEDATALEN];
    snprintf(name, sizeof(name), "backup_ext_%d", pid);
    CheckReplicationSlots();
    CreateTemporarySlot(name);
    ReplicationSlotReserveWal();
    ReplicationSlotMarkDirty();
    ReplicationSlotSave();
  });
}

WalCollector::WalCollector(const ClusterFacts& facts, uint64_t start_lsn, uint32_t timeline)
    : facts_(facts),
      start_lsn_(start_lsn),
      start_timeline_(timeline),
      first_segment_(SegmentOfLsn(start_lsn, facts.wal_segment_bytes)),
      next_segment_(first_segment_),
      slot_segment_(first_segment_) {}

void WalCollector::Poll(BackupRun* run) {
  run->PublishWalPosition(NewestWal(facts_.in_recovery));
  const WalPosition durable = DurableWal(facts_.in_recovery);
  while (!has_all_ && (next_segment_ + 1) * facts_.wal_segment_bytes <= durable.lsn) {
    Queue(run, next_segment_, durable.timeline);
  }
  AdvanceSlot(*run);
}

bool WalCollector::Reached(uint64_t lsn) const { return DurableWal(facts_.in_recovery).lsn >= lsn; }

void WalCollector::QueueThrough(BackupRun* run, uint64_t stop_lsn, uint32_t stop_timeline) {
  const uint64_t last = SegmentBefore(stop_lsn, facts_.wal_segment_bytes);
  while (next_segment_ <= last) Queue(run, next_segment_, stop_timeline);
  has_all_ = true;
}

void WalCollector::Queue(BackupRun* run, uint64_t segment, uint32_t newest_timeline) {
  // A segment is named after the timeline that its end belongs to. On a standby that followed a new
  // timeline meanwhile, older segments keep their old name.
  uint32_t timeline = newest_timeline;
  if (newest_timeline != start_timeline_) {
    const uint64_t segment_end = (segment + 1) * facts_.wal_segment_bytes;
    for (const TimelinePart& part : TimelineParts(newest_timeline)) {
      if (part.begin < segment_end && (part.end == 0 || part.end >= segment_end)) {
        timeline = part.timeline;
      }
    }
  }
  const std::string name =
      WalSegmentName({.timeline = timeline, .number = segment}, facts_.wal_segment_bytes);
  run->PostWalSegment(name, facts_.wal_segment_bytes);
  next_segment_ = segment + 1;
}

void WalCollector::AdvanceSlot(const BackupRun& run) {
  const uint64_t stored_until = first_segment_ + run.wal_segments_stored();
  if (stored_until <= slot_segment_) return;
  slot_segment_ = stored_until;
  const XLogRecPtr lsn = stored_until * facts_.wal_segment_bytes;
  CallPostgresUninterrupted([&] {
    SpinLockAcquire(&MyReplicationSlot->mutex);
    MyReplicationSlot->data.restart_lsn = lsn;
    SpinLockRelease(&MyReplicationSlot->mutex);
    ReplicationSlotMarkDirty();
    ReplicationSlotsComputeRequiredLSN();
    ReplicationSlotSave();
  });
}

std::vector<WalRange> WalCollector::Ranges(uint64_t stop_lsn, uint32_t stop_timeline) const {
  if (stop_timeline == start_timeline_) {
    return {{.timeline = stop_timeline, .start_lsn = start_lsn_, .end_lsn = stop_lsn}};
  }
  std::vector<WalRange> ranges;
  for (const TimelinePart& part : TimelineParts(stop_timeline)) {
    const uint64_t begin = std::max<uint64_t>(part.begin, start_lsn_);
    const uint64_t end = part.end == 0 ? stop_lsn : std::min<uint64_t>(part.end, stop_lsn);
    if (begin >= end) continue;
    ranges.push_back({.timeline = part.timeline, .start_lsn = begin, .end_lsn = end});
  }
  return ranges;
}

std::vector<HistoryFile> ReadTimelineHistories(const std::string& data_directory) {
  std::vector<HistoryFile> files;
  const std::string directory = JoinPath(data_directory, "pg_wal");
  const auto entries = ReadDirectory(directory);
  if (!entries) return files;
  for (const DirectoryEntry& entry : *entries) {
    if (!ParseTimelineHistoryName(entry.name)) continue;
    files.push_back(
        {.name = entry.name,
         .content = ReadWholeFile(JoinPath(directory, entry.name), kHistoryLimitBytes)});
  }
  return files;
}

}  // namespace backup_ext
