// How far a job is, as others see it.
//
// PostgreSQL's side of the border: plain data, for frames that errors jump over.
#pragma once

#include "shared_state.h"

namespace backup_ext {

struct ProgressView {
  char job_id[kIdRoom];
  char backup_id[kIdRoom];
  char stage_id[kIdRoom];  // empty: no restore
  pid_t pid;               // 0: its process has not started yet
  JobKind kind;
  Phase phase;
  uint64 bytes_done;
  uint64 bytes_total;  // 0: not known yet
  uint64 files_done;
  uint64 files_total;  // 0: not known yet
  uint64 bytes_per_second;
  double percent;      // -1: not known yet
  int64 left_seconds;  // -1: not known
  TimestampTz started_at;
  uint32_t slowed_by;  // bits of SlowedBy
};

// False when the slot holds no live job.
bool ViewProgress(int slot, ProgressView* view);

// "max_rate, replication_lag" into `text`; empty: nothing slows it.
void DescribeSlowing(uint32_t slowed_by, char* text, size_t room);

// For who waits for a job: a NOTICE now and then, where client_min_messages lets it through.
struct ProgressNotices {
  TimestampTz last;  // 0: none yet
};
void ShowProgress(int slot, ProgressNotices* notices);

}  // namespace backup_ext
