// The WAL of one backup: held by a slot, copied while it grows, the slot advanced behind it.
//
// Held at the start for the whole backup, a slot would let pg_wal grow, and with
// max_slot_wal_keep_size the server would end our worker to be rid of it. So each segment is copied
// as soon as it is complete, and the slot follows what is stored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "format/record.h"
#include "policy/parent_choice.h"
#include "restore/wal_plan.h"

namespace backup_ext {

// Throws Error(kNotInPrerequisiteState) where the server can have no slot.
void RequireReplicationSlots();

// Creates and reserves the temporary slot; before backup mode begins. It goes with the process, or
// with WalCollector::Release(). Throws PostgresError when no slot is free.
void HoldWal();

// Whether the server ends, or would end, this process because its slot holds more WAL than
// max_slot_wal_keep_size. Neither throws nor raises an error: exit callbacks ask too.
[[nodiscard]] bool IsSlotGivenUp() noexcept;
inline constexpr const char* kSlotGivenUp =
    "terminating backup: its WAL exceeds max_slot_wal_keep_size";
inline constexpr const char* kSlotGivenUpHint =
    "Increase max_slot_wal_keep_size; if a slow repository was the cause, use a faster one.";

class WalCollector {
 public:
  WalCollector(const ClusterFacts& facts, uint64_t start_lsn, uint32_t timeline);

  // From the pause point: queues the segments that are complete, advances the slot, tells the run
  // the newest WAL position.
  void Poll(BackupRun* run);

  // After backup mode ended: everything up to `stop_lsn`, stored. `pause` is called while waiting.
  template <typename Pause>
  void Complete(BackupRun* run, uint64_t stop_lsn, uint32_t stop_timeline, Pause&& pause) {
    while (!Reached(stop_lsn)) pause();
    QueueThrough(run, stop_lsn, stop_timeline);
    run->DrainWal();
  }

  // Drops the slot: a restore that follows in this process must not hold WAL.
  void Release();

  // Throws Error(kTerminated) when this process is told to end because its slot holds more WAL than
  // max_slot_wal_keep_size.
  void ThrowIfGivenUp() const;

  // Throws Error(kNotInPrerequisiteState) unless what was stored is all that a restore of `record`
  // will ask for: what is listed can be restored.
  void CheckComplete(const BackupRecord& record) const;

  // What the backup needs, newest timeline first.
  [[nodiscard]] std::vector<WalRange> Ranges(uint64_t stop_lsn, uint32_t stop_timeline) const;

 private:
  [[nodiscard]] bool Reached(uint64_t lsn) const;
  void QueueThrough(BackupRun* run, uint64_t stop_lsn, uint32_t stop_timeline);
  void Queue(BackupRun* run, uint64_t segment, uint32_t newest_timeline);
  void Post(BackupRun* run, uint64_t segment, uint32_t timeline);
  void PostIfExists(BackupRun* run, uint64_t segment, uint32_t timeline);
  void AdvanceSlot(const BackupRun& run);

  ClusterFacts facts_;
  uint64_t start_lsn_;
  uint32_t start_timeline_;
  uint64_t first_segment_;
  uint64_t next_segment_;  // the first that is not queued
  uint64_t needed_until_ = UINT64_MAX;
  // What was posted: in that order the segments' numbers, some of them twice, and the names.
  std::vector<uint64_t> posted_;
  WalFiles posted_names_;
  uint64_t slot_segment_ = 0;  // where the slot stands, 0: before the backup
  bool has_all_ = false;       // the end of the backup is queued: what comes after is not its own
  bool is_released_ = false;
};

// Every timeline history file of pg_wal: name and content.
struct HistoryFile {
  std::string name;
  Bytes content;
};
[[nodiscard]] std::vector<HistoryFile> ReadTimelineHistories(const std::string& data_directory);

// The way that this cluster came, oldest timeline first, as the history file of `timeline` tells
// it. Throws Error(kDamaged).
[[nodiscard]] std::vector<TimelineSpan> TimelineHistory(uint32_t timeline,
                                                        const std::string& data_directory);
// The newest WAL position there is: inserted, or replayed on a standby.
[[nodiscard]] uint64_t NewestWalPosition(bool in_recovery);

}  // namespace backup_ext
