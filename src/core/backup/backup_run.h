// A backup, seen from the data: cluster -> store. Sees no PostgreSQL.
//
// The caller (a server's worker) holds backup mode around it and calls in this order:
//   BackupRun run(...);            // makes threads
//   run.CopyCluster(start_lsn);    // everything but the control file, WAL and label
//   ... end of backup mode, run.PostWalSegment() for what is missing ...
//   run.Finish(stopped);           // second section, manifest, record: the commit
// One thread calls everything here; the threads inside never call out. Destroyed without Finish it
// removes what it stored (best effort: what a crash leaves is swept by the next run).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/stored_media.h"
#include "base/bytes.h"
#include "base/progress.h"
#include "base/worker_pool.h"
#include "cluster/changed_blocks.h"
#include "format/manifest.h"
#include "format/record.h"
#include "store/lock.h"
#include "store/repository.h"

namespace backup_ext {

// What the run must know of the cluster; all of it constant during the run.
struct ClusterFacts {
  std::string data_directory;     // absolute
  std::string version_directory;  // PG_15_202209061: the only one of a tablespace that is ours
  uint64_t system_identifier = 0;
  uint32_t block_bytes = 8192;
  uint32_t segment_blocks = 131072;
  uint32_t wal_segment_bytes = 16 * 1024 * 1024;
  bool data_checksums = false;
  bool in_recovery = false;
};

// An earlier backup that this one may refer to instead of storing again.
struct ParentBackup {
  BackupRecord record;
  bool is_interrupted = false;  // it ended early: what it lacks, the next one may hold
};

// A file whose parent was read this soon after its last change is not believed to be untouched:
// times are as coarse as a tick of the kernel, and a write that was stalled carries the time of its
// begin.
inline constexpr Microseconds kUntouchedMargin = 10 * kMicrosecondsPerSecond;

// No file is: times prove nothing (the parent was taken before the machine was started).
inline constexpr Microseconds kNeverUntouched = 100LL * 366 * 24 * 3600 * kMicrosecondsPerSecond;

struct BackupOptions {
  std::string backup_id;
  int threads = 1;
  ThreadPriority priority = ThreadPriority::kNormal;
  int compression_level = 1;
  uint64_t max_bytes_per_second = 0;  // 0: unlimited
  Microseconds begun_at = 0;          // a moment before the server fixed the start LSN
  // Newest first, each of them usable (policy/parent_choice.h); empty: everything is stored.
  std::vector<ParentBackup> parents;
  // A full backup compares what it reads with what an incremental one would have taken over from
  // these; at most one. `parents` holds no complete backup then.
  std::vector<ParentBackup> audited;
  // What was changed since the oldest start of `parents` and `audited`, up to this backup's start;
  // null where no WAL summaries tell. Outlives the run.
  const ChangedBlocks* changes = nullptr;
  Microseconds untouched_margin = kUntouchedMargin;
  // An interrupted run is kept as a parent when it stored this much at least.
  uint64_t keep_interrupted_from_bytes = 64ULL * 1024 * 1024;
  // A MediaRun of the same backup outlives the run, and removes what no record names.
  bool is_beside_media = false;
};

// What only the server can do. Called on the run's main thread.
class ServerAccess {
 public:
  virtual ~ServerAccess() = default;
  // About every 100 ms while the run works. Throws Error (kCanceled, kTerminated, ...) to end it.
  // May call PostWalSegment, SetMaxRate and PublishWalPosition.
  virtual void PausePoint() = 0;
  // A pg_filenode.map, read under its lock. `path` is relative to the data directory. Nothing when
  // it is gone.
  [[nodiscard]] virtual std::optional<Bytes> ReadRelationMap(const std::string& path) = 0;
};

// A page whose checksum is wrong and that no WAL of the backup will mend.
struct DamagedPage {
  std::string path;
  uint32_t database_oid = 0;
  uint32_t block = 0;  // counted in its file, from 0
  uint16_t expected = 0;
  uint16_t found = 0;
};

// A file whose bytes the server supplies.
struct SuppliedFile {
  EntryKind kind = EntryKind::kFile;
  FileKind file_kind = FileKind::kOther;
  std::string path;
  std::string link_target;  // kConfiguration: where it lay
  Bytes content;
  uint32_t mode = 0600;
};

class BackupRun {
 public:
  // `server` and `progress` must outlive the run. The writer's lock is held by the caller.
  BackupRun(const Repository& repository, ClusterFacts facts, BackupOptions options,
            ServerAccess* server, Progress* progress);
  ~BackupRun();
  BackupRun(const BackupRun&) = delete;
  BackupRun& operator=(const BackupRun&) = delete;

  // Copies the data directory and the tablespaces as the rules of contents.h say. `start_lsn`:
  // pages at or after it are mended by replay, so their checksum is not judged.
  void CopyCluster(uint64_t start_lsn);

  // Queues one WAL segment of the data directory's pg_wal, found under `file_name`: its first
  // `bytes`, and zeros for the rest. The first page is checked to be that segment's, and again
  // after it was read: it must stay there until it is stored. Returns at once. Does nothing once
  // Finish() has drained.
  void PostWalSegment(const std::string& file_name, uint64_t bytes);
  // How many posted segments, counted in the order of posting, are stored. Hands waiting ones to
  // the threads, and rethrows a thread's error.
  [[nodiscard]] size_t wal_segments_stored() const;
  // Waits for all of them, calling the pause point.
  void DrainWal();

  void SetMaxRate(uint64_t bytes_per_second);
  // Whether threads sleep for those who wait for a processor beside them (base/give_way.h).
  void SetGivesWay(bool gives_way);
  // How long they did, all together.
  [[nodiscard]] Microseconds time_given() const;
  // Of files, so far: what needed no reading is not in it, as it is in the progress.
  [[nodiscard]] uint64_t bytes_read() const;
  // The newest WAL position there is: a damaged page with a greater LSN is no page in flight. To be
  // called at every pause point; CopyCluster() begins with one. Any thread.
  void PublishWalPosition(uint64_t lsn);

  // Adds to the second section: control file, backup_label, histories, configuration.
  void AddSuppliedFile(SuppliedFile file);

  // The media that were copied beside: their part of the record.
  void AddMedia(StoredMedia media);

  // Drops unlogged relations found out late, writes the second section and the manifest, then
  // fills the storage fields of `record` (sizes, packs, manifest, tablespaces, files) and commits
  // it. `lock` is checked right before. What is on disk when it returns survives a power cut.
  void Finish(BackupRecord* record, const WriterLock& lock);

  // Instead of Finish(), for a run that was cancelled: ends the threads and keeps what was stored
  // whole for the next run (catalog.h, ReadInterrupted). Fills `record` as Finish() does. False,
  // and what was stored is removed at the end, when it is too little or too late, or holds damaged
  // pages. Throws what the store throws; then it is removed, too.
  [[nodiscard]] bool KeepInterrupted(BackupRecord* record, const WriterLock& lock);

  [[nodiscard]] const std::vector<DamagedPage>& damaged_pages() const;
  // What the audit found: `3 pages differ: base/5/16384 block 7, ...`; empty for nothing.
  [[nodiscard]] std::string audit_findings() const;
  // What was passed over, for warnings: `skipping special file "base/1/socket"`.
  [[nodiscard]] const std::vector<std::string>& warnings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
