// A backup, seen from the server: begins and ends backup mode around the core's run.
#pragma once

#include <string>

#include "base/clock.h"

#include "settings.h"
#include "shared_state.h"

namespace backup_ext {

struct BackupJob {
  std::string backup_id;
  std::string label;
  std::string trigger;
  std::string kind = "auto";  // "full", "incremental"
  bool fast_checkpoint = true;
  bool include_media = false;
  // Of the schedule only, else 0: the opening of the window that asked for it.
  Microseconds window_opened_at = 0;
};

// Takes one backup; in a worker process of its own. Throws Error or PostgresError; then nothing of
// the backup is left but what the next run sweeps. On success `slot->warning` may hold a text.
void RunBackup(const BackupJob& job, JobSlot* slot);

}  // namespace backup_ext
