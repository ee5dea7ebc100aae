// Jobs seen from those who ask: start a worker, wait for it, cancel it.
//
// PostgreSQL's side of the border: these functions raise PostgreSQL errors, so a frame that calls
// them owns nothing with a destructor.
#pragma once

#include "shared_state.h"

namespace backup_ext {

struct StartedJob {
  int slot;
  uint64 generation;
  BackgroundWorkerHandle* handle;
};

enum class Waiting { kCallerWaits, kNobodyWaits };

// Raises an error that names what is missing when the library was not preloaded.
void RequirePreloaded(void);

// Claims a slot and starts a worker for it. Raises an error when another backup is running, no job
// slot or no background worker is free.
StartedJob StartJob(const JobRequest* request, Waiting waiting);

// Waits for the end of a job that was started with kCallerWaits and frees its slot; raises the
// job's error, or its warning. When the wait itself is cancelled, cancels the job and waits until
// its worker has cleaned up.
void WaitForJob(const StartedJob* job);

// Whether a job that makes a backup is asked for or runs, the safety backup of a restore too.
bool BackupIsRunning(void);

// One that the schedule asked for; its verifies have a count of their own.
bool IsAutomaticBackup(const JobSlot& slot);

// Whether a verify is asked for or runs.
bool VerifyIsRunning(void);

// A job that is done by this process itself: claims a slot for it, which shows it to others and
// lets them cancel it (as a cancel of its query). EndOwnJob() must follow, after an error too;
// `error` is null for a success.
JobSlot* BeginOwnJob(const JobRequest* request);
void EndOwnJob(JobSlot* slot, const PlainError* error);

// Asks a running job to end. False when there is none of that name.
bool CancelJob(const char* job_id);

// The worker's side: claims the slot that the postmaster handed over, null when it was given up.
JobSlot* AttachJob(int slot, uint64 generation);
// Publishes the end of the job in this process: from an on_shmem_exit callback, when backup mode
// and slot are already gone. `error` is null for a success.
void PublishJobEnd(JobSlot* slot, const PlainError* error);

}  // namespace backup_ext
