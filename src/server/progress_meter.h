// How far the job of this worker is: its rate, and a copy in pg_stat_progress_basebackup.
//
// Main thread only.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// Measures the rate of the last seconds from what `job->progress` counted. At each pause point.
void MeterProgress(JobSlot* job);

// From here to EndMirror() this process has a row in pg_stat_progress_basebackup, for a backup of
// a cluster with so many tablespaces (pg_default and pg_global are one).
void BeginMirror(int tablespaces);
// Brings the row up to date; nothing where there is none. PostgreSQL's side: raises no error.
void MirrorProgress(const JobSlot& job);
void EndMirror();

}  // namespace backup_ext
