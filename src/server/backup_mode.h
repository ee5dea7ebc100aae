// Backup mode of the server: begin, end, and the control file in between.
//
// The mode belongs to the process: one backup a worker, and leaving the process ends it. All of
// this is for the worker's main thread. Errors are PostgresError.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace backup_ext {

struct StartedBackup {
  uint64_t start_lsn = 0;
  uint64_t checkpoint_lsn = 0;
  uint32_t timeline = 0;
  bool in_recovery = false;
  std::string label_file;  // content of backup_label
};

struct StoppedBackup {
  uint64_t stop_lsn = 0;
  uint32_t timeline = 0;
};

class BackupMode {
 public:
  BackupMode();
  ~BackupMode();
  BackupMode(const BackupMode&) = delete;
  BackupMode& operator=(const BackupMode&) = delete;

  enum class Checkpoint { kFast, kSpread };
  // Waits for a checkpoint; can be cancelled. No thread may live yet.
  [[nodiscard]] StartedBackup Begin(const std::string& label, Checkpoint checkpoint);
  // Raises an error when a standby was promoted meanwhile or ran without full-page writes.
  [[nodiscard]] StoppedBackup End();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// pg_control, read under its lock: never torn. After everything else, before End(): on a standby
// its minimum recovery point is what makes the copy consistent.
[[nodiscard]] Bytes ReadControlFileUnderLock();

// A pg_filenode.map, read under its lock; empty when it is gone. `path` is relative to the data
// directory, which is the current directory of every server process.
[[nodiscard]] Bytes ReadRelationMapUnderLock(const std::string& path);

}  // namespace backup_ext
