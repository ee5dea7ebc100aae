// The media of a backup: media directories -> store. Sees no PostgreSQL.
//
// Called in this order, beside a BackupRun:
//   MediaRun media(...);
//   media.Estimate();          // how much there is
//   media.Copy();              // before the database's backup begins: it may take hours
//   ... the database, up to the end of backup mode ...
//   media.CopyAgain();         // what changed since: no file is older than the rows
//   run.AddMedia(media.Finish()); run.Finish(...); media.Commit();
// A file that was there at the first look and is gone at the second one stays in the backup: rows
// of the database may name it. One thread calls everything here. Destroyed without Commit() or
// Release() it removes what it stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/stored_media.h"
#include "base/progress.h"
#include "store/repository.h"

namespace backup_ext {

struct MediaOptions {
  std::string backup_id;
  std::vector<std::string> directories;  // absolute paths, each checked (media_directories.h)
  int threads = 1;
  ThreadPriority priority = ThreadPriority::kNormal;
  int compression_level = 1;
  uint64_t max_bytes_per_second = 0;  // 0: unlimited
  // Backups with media, newest first (ChooseMediaParents()); empty: everything is stored.
  std::vector<ParentBackup> parents;
  Microseconds untouched_margin = kUntouchedMargin;
  // As in BackupOptions.
  uint64_t keep_interrupted_from_bytes = 64ULL * 1024 * 1024;
};

struct MediaEstimate {
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t changed_files = 0;  // those that are to be read
  uint64_t changed_bytes = 0;
};

class MediaRun {
 public:
  // `server` and `progress` must outlive it. The writer's lock is held by the caller. Of `server`
  // only the pause point is asked for.
  MediaRun(const Repository& repository, uint64_t system_identifier, MediaOptions options,
           ServerAccess* server, Progress* progress);
  ~MediaRun();
  MediaRun(const MediaRun&) = delete;
  MediaRun& operator=(const MediaRun&) = delete;

  // Sets the totals of the progress.
  [[nodiscard]] MediaEstimate Estimate();
  void Copy();
  void CopyAgain();
  // Makes all of it durable, but for the record.
  [[nodiscard]] StoredMedia Finish();
  // Instead of Finish(), for a run that was cancelled: the same of what was stored whole, for the
  // next one. Nothing when it is too little. May be called again.
  [[nodiscard]] std::optional<StoredMedia> KeepInterrupted();
  // The objects belong to an interrupted backup.
  void Release();
  // They belong to a backup: what was needed on the way goes.
  void Commit();
  // One of the two was called.
  [[nodiscard]] bool is_released() const;

  // Any thread.
  void SetMaxRate(uint64_t bytes_per_second);
  // Whether threads sleep for those who wait for a processor beside them (base/give_way.h).
  void SetGivesWay(bool gives_way);
  // How long they did, all together.
  [[nodiscard]] Microseconds time_given() const;
  // Of files, so far: what needed no reading is not in it, as it is in the progress.
  [[nodiscard]] uint64_t bytes_read() const;
  // What could not be read, what changed while it was read, and what no backup holds; at most 1000.
  [[nodiscard]] const std::vector<std::string>& warnings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
