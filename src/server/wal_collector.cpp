// The WAL of one backup.
#include "wal_collector.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "base/error.h"
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

// Up to where WAL is on disk and valid: flushed on a primary, replayed on a standby. The end of the
// record that is being replayed, not of the last one that was: pages and the control file carry it
// already. What was only received is no part of the backup; under recovery_min_apply_delay that is
// much, and it may lie past the point where the next timeline begins.
WalPosition DurableWal(bool in_recovery) {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  TimeLineID timeline = 0;
  CallPostgresUninterrupted([&] {
    if (!in_recovery) {
      lsn = GetFlushRecPtr(&timeline);
      return;
    }
    lsn = GetCurrentReplayRecPtr(&timeline);
  });
  return {.lsn = lsn, .timeline = timeline};
}

// The newest position that a page can carry.
uint64_t NewestWal(bool in_recovery) {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  CallPostgresUninterrupted(
      [&] { lsn = in_recovery ? GetCurrentReplayRecPtr(nullptr) : GetXLogInsertRecPtr(); });
  return lsn;
}

struct TimelinePart {
  uint32_t timeline = 0;
  uint64_t begin = 0;
  uint64_t end = 0;  // 0: still growing
};

// The history of `timeline`, newest first. Not readTimeLineHistory(): it reports a file that it
// cannot read as FATAL, which ends the process under live threads.
std::vector<TimelinePart> TimelineParts(uint32_t timeline, const std::string& data_directory) {
  std::vector<TimelinePart> parts;
  const std::string path =
      JoinPath(JoinPath(data_directory, "pg_wal"), TimelineHistoryName(timeline));
  uint64_t begin = 0;
  // Timeline 1 has none, nor has one that pg_resetwal chose: then there are no parents.
  if (timeline > 1 && StatFile(path)) {
    const Bytes content = ReadWholeFile(path, kHistoryLimitBytes);
    std::istringstream lines(std::string(reinterpret_cast<const char*>(content.data()),  //
                                         content.size()));
    for (std::string line; std::getline(lines, line);) {
      const size_t first = line.find_first_not_of(" \t\r");
      if (first == std::string::npos || line[first] == '#') continue;
      unsigned parent = 0;
      unsigned high = 0;
      unsigned low = 0;
      if (std::sscanf(line.c_str(), "%u\t%X/%X", &parent, &high, &low) != 3) {
        throw Error(ErrorCode::kDamaged,
                    "could not read file \"" + path + "\": syntax error in \"" + line + "\"");
      }
      const uint64_t end = static_cast<uint64_t>(high) << 32 | low;
      parts.push_back({.timeline = parent, .begin = begin, .end = end});
      begin = end;
    }
  }
  parts.push_back({.timeline = timeline, .begin = begin, .end = 0});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

void RequireReplicationSlots() {
  if (max_replication_slots > 0) return;
  throw Error(ErrorCode::kNotInPrerequisiteState,
              "cannot take a backup while max_replication_slots is 0",
              "A temporary slot keeps the WAL of the backup until it is stored.",
              "Set max_replication_slots to 1 or more and restart the server.");
}

void HoldWal() {
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

bool IsSlotGivenUp() noexcept {
  if (MyReplicationSlot == nullptr) return false;
  const WALAvailability availability = GetWALAvailability(MyReplicationSlot->data.restart_lsn);
  return availability == WALAVAIL_UNRESERVED || availability == WALAVAIL_REMOVED;
}

WalCollector::WalCollector(const ClusterFacts& facts, uint64_t start_lsn, uint32_t timeline)
    : facts_(facts),
      start_lsn_(start_lsn),
      start_timeline_(timeline),
      first_segment_(SegmentOfLsn(start_lsn, facts.wal_segment_bytes)),
      next_segment_(first_segment_) {}

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
  needed_until_ = stop_lsn;
  while (next_segment_ <= last) Queue(run, next_segment_, stop_timeline);
  has_all_ = true;
}

// A segment is named after the timeline that its end belongs to. On a standby that followed a new
// timeline meanwhile, older segments keep their old name, and the one in which the old timeline
// ended is there under both: the backup may end before the new one begins, and pg_waldump looks for
// the WAL of a timeline under its own name alone.
void WalCollector::Queue(BackupRun* run, uint64_t segment, uint32_t newest_timeline) {
  uint32_t timeline = newest_timeline;
  if (newest_timeline != start_timeline_) {
    const uint64_t segment_begin = segment * facts_.wal_segment_bytes;
    const uint64_t segment_end = segment_begin + facts_.wal_segment_bytes;
    for (const TimelinePart& part : TimelineParts(newest_timeline, facts_.data_directory)) {
      if (part.begin < segment_end && (part.end == 0 || part.end >= segment_end)) {
        timeline = part.timeline;
      } else if (part.end > segment_begin && part.end < segment_end) {
        PostIfExists(run, segment, part.timeline);
      }
    }
  }
  Post(run, segment, timeline);
  next_segment_ = segment + 1;
}

void WalCollector::Post(BackupRun* run, uint64_t segment, uint32_t timeline) {
  const std::string name =
      WalSegmentName({.timeline = timeline, .number = segment}, facts_.wal_segment_bytes);
  const uint64_t begin = segment * facts_.wal_segment_bytes;
  run->PostWalSegment(name, std::min<uint64_t>(facts_.wal_segment_bytes, needed_until_ - begin));
  posted_.push_back(segment);
  posted_names_[name] = facts_.wal_segment_bytes;
}

// A standby that replays from an archive may have the segment of the new timeline only.
void WalCollector::PostIfExists(BackupRun* run, uint64_t segment, uint32_t timeline) {
  const std::string name =
      WalSegmentName({.timeline = timeline, .number = segment}, facts_.wal_segment_bytes);
  const std::string directory = JoinPath(facts_.data_directory, "pg_wal");
  if (StatFile(JoinPath(directory, name))) Post(run, segment, timeline);
}

void WalCollector::CheckComplete(const BackupRecord& record) const {
  try {
    CheckWalIsComplete(record, posted_names_);
  } catch (const Error& error) {
    throw Error(ErrorCode::kNotInPrerequisiteState,
                "could not collect the WAL of the backup: " + error.message(), error.detail(),
                "The standby followed a new timeline meanwhile. Take the backup again.");
  }
}

void WalCollector::AdvanceSlot(const BackupRun& run) {
  const size_t stored = run.wal_segments_stored();
  const uint64_t stored_until = stored < posted_.size() ? posted_[stored] : next_segment_;
  if (is_released_ || stored_until <= slot_segment_) return;
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

void WalCollector::Release() {
  is_released_ = true;
  CallPostgresUninterrupted([] {
    ReplicationSlotRelease();
    DropTemporarySlots();
  });
}

void WalCollector::ThrowIfGivenUp() const {
  if (!ProcDiePending || is_released_) return;
  bool is_given_up = false;
  CallPostgresUninterrupted([&] { is_given_up = IsSlotGivenUp(); });
  if (is_given_up) throw Error(ErrorCode::kTerminated, kSlotGivenUp, {}, kSlotGivenUpHint);
}

std::vector<WalRange> WalCollector::Ranges(uint64_t stop_lsn, uint32_t stop_timeline) const {
  if (stop_timeline == start_timeline_) {
    return {{.timeline = stop_timeline, .start_lsn = start_lsn_, .end_lsn = stop_lsn}};
  }
  std::vector<WalRange> ranges;
  for (const TimelinePart& part : TimelineParts(stop_timeline, facts_.data_directory)) {
    const uint64_t begin = std::max<uint64_t>(part.begin, start_lsn_);
    const uint64_t end = part.end == 0 ? stop_lsn : std::min<uint64_t>(part.end, stop_lsn);
    if (begin >= end) continue;
    ranges.push_back({.timeline = part.timeline, .start_lsn = begin, .end_lsn = end});
  }
  return ranges;
}

std::vector<TimelineSpan> TimelineHistory(uint32_t timeline, const std::string& data_directory) {
  std::vector<TimelineSpan> spans;
  for (const TimelinePart& part : TimelineParts(timeline, data_directory)) {
    spans.push_back({part.timeline, part.begin, part.end == 0 ? UINT64_MAX : part.end});
  }
  std::reverse(spans.begin(), spans.end());
  return spans;
}

uint64_t NewestWalPosition(bool in_recovery) { return NewestWal(in_recovery); }

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
