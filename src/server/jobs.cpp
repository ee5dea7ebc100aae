// Jobs seen from those who ask. Plain data only: errors jump through these frames.
#include "jobs.h"

#include <cstring>

#include "background_worker.h"
#include "job_end.h"
#include "job_notices.h"
#include "progress_view.h"

namespace backup_ext {
namespace {

constexpr long kWaitSliceMs = 200;
constexpr int kCancelWaitMs = 30000;

bool VerifiesSameBackup(const JobRequest* a, const JobRequest* b) {
  return a->kind == JobKind::kVerify && b->kind == JobKind::kVerify &&
         std::strcmp(a->backup_id, b->backup_id) == 0;
}

bool MakesBackup(const JobRequest* request) {
  return request->kind == JobKind::kBackup || request->safety_backup_id[0] != '\0';
}

void ResetSlot(JobSlot* slot, const JobRequest* request, Waiting waiting, uint64 generation) {
  slot->state = JobState::kRequested;
  slot->generation = generation;
  slot->request = *request;
  slot->worker_pid = 0;
  slot->waiter_pid = waiting == Waiting::kCallerWaits ? MyProcPid : 0;
  slot->started_at = GetCurrentTimestamp();
  slot->cancel_requested = false;
  slot->progress.phase = Phase::kStarting;
  slot->progress.bytes_done = 0;
  slot->progress.bytes_total = 0;
  slot->progress.files_done = 0;
  slot->progress.files_total = 0;
  slot->bytes_per_second = 0;
  slot->slowed_by = 0;
  std::memset(&slot->figures, 0, sizeof(slot->figures));
  slot->ended_with_window = false;
  slot->locked_out = false;
  std::memset(static_cast<void*>(&slot->error), 0, sizeof(slot->error));
  slot->warning[0] = '\0';
  slot->notices.next = 0;
}

// The index of a slot that is now this request's.
int ClaimSlot(const JobRequest* request, Waiting waiting, uint64* generation) {
  SharedState* const shared = GetSharedState();
  int free_slot = -1;
  char busy_job[kIdRoom] = "";
  char busy_verify[kIdRoom] = "";
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  for (int i = 0; i < kMaxJobs; i++) {
    JobSlot* const slot = &shared->jobs[i];
    if (slot->state == JobState::kFree && free_slot < 0) free_slot = i;
    if (IsLive(*slot) && MakesBackup(request) && MakesBackup(&slot->request)) {
      snprintf(busy_job, sizeof(busy_job), "%s", slot->request.job_id);
    }
    if (IsLive(*slot) && VerifiesSameBackup(request, &slot->request)) {
      snprintf(busy_verify, sizeof(busy_verify), "%s", slot->request.job_id);
    }
  }
  if (free_slot >= 0 && busy_job[0] == '\0' && busy_verify[0] == '\0') {
    *generation = ++shared->next_generation;
    ResetSlot(&shared->jobs[free_slot], request, waiting, *generation);
  }
  LWLockRelease(shared->lock);

  if (busy_job[0] != '\0') {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_IN_USE), errmsg("could not start backup: another is running"),
             errdetail("Job %s is taking a backup.", busy_job),
             errhint("Wait for it, or end it with SELECT backup_cancel('%s').", busy_job)));
  }
  if (busy_verify[0] != '\0') {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_IN_USE),
             errmsg("could not start verify: backup %s is being verified", request->backup_id),
             errdetail("Job %s does it.", busy_verify),
             errhint("Wait for it, or end it with SELECT backup_cancel('%s').", busy_verify)));
  }
  if (free_slot < 0) {
    ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                    errmsg("could not start job: all %d jobs are in use", kMaxJobs),
                    errhint("See backup_progress() for what is running.")));
  }
  return free_slot;
}

void SignalCancel(JobSlot* slot);

// The asker leaves before the job has begun or while it begins: a slot whose worker has not come
// yet is free again, a worker that has come is told to end and frees it itself.
void GiveUpSlot(int /*code*/, Datum argument) {
  const StartedJob* const job = reinterpret_cast<const StartedJob*>(DatumGetPointer(argument));
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  JobSlot* const slot = &shared->jobs[job->slot];
  if (slot->generation == job->generation) {
    slot->waiter_pid = 0;
    if (slot->state == JobState::kRunning) {
      SignalCancel(slot);
    } else {
      slot->state = JobState::kFree;
    }
  }
  LWLockRelease(shared->lock);
}

bool RegisterWorker(const JobRequest* request, int slot, uint64 generation,
                    BackgroundWorkerHandle** handle) {
  BackgroundWorker worker =
      DescribeWorker(OperationName(request->kind), "backup_ext worker", "backup_ext_worker_main");
  worker.bgw_main_arg = Int32GetDatum(slot);
  static_assert(sizeof(generation) <= BGW_EXTRALEN);
  std::memcpy(worker.bgw_extra, &generation, sizeof(generation));
  worker.bgw_notify_pid = MyProcPid;
  return RegisterDynamicBackgroundWorker(&worker, handle);
}

// Asks the worker of a slot to end; interrupts a wait for a checkpoint too.
void SignalCancel(JobSlot* slot) {
  slot->cancel_requested = true;
  if (slot->worker_pid != 0) kill(slot->worker_pid, SIGINT);
}

// What happens when the wait ends early: cancel, and leave when the worker has cleaned up. No
// interrupt is served here; the wait is bounded.
void AbandonJob(int /*code*/, Datum argument) {
  const StartedJob* const job = reinterpret_cast<const StartedJob*>(DatumGetPointer(argument));
  SharedState* const shared = GetSharedState();
  JobSlot* const slot = &shared->jobs[job->slot];
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  const bool ours = slot->generation == job->generation;
  if (ours && slot->state == JobState::kRunning) SignalCancel(slot);
  if (ours) slot->cancel_requested = true;
  LWLockRelease(shared->lock);
  if (!ours) return;

  for (int waited_ms = 0; waited_ms < kCancelWaitMs; waited_ms += 20) {
    pid_t pid = 0;
    if (GetBackgroundWorkerPid(job->handle, &pid) == BGWH_STOPPED) break;
    if (!PostmasterIsAlive()) break;
    pg_usleep(20 * 1000L);
  }
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  if (slot->generation == job->generation) {
    slot->waiter_pid = 0;
    if (!IsLive(*slot)) slot->state = JobState::kFree;
  }
  LWLockRelease(shared->lock);
}

// Raises an error when the worker ended without ever taking its slot.
void WaitUntilStarted(const StartedJob* job) {
  pid_t pid = 0;
  const BgwHandleStatus status = WaitForBackgroundWorkerStartup(job->handle, &pid);
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_SHARED);
  const JobSlot* const slot = &shared->jobs[job->slot];
  const bool never_ran = status == BGWH_STOPPED && slot->generation == job->generation &&
                         slot->state == JobState::kRequested;
  LWLockRelease(shared->lock);
  if (!never_ran) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not start background worker"),
           errhint("More details may be available in the server log.")));
}

void WaitUntilStopped(const StartedJob* job, volatile uint32* notices_shown) {
  ProgressNotices notices = {};
  for (;;) {
    pid_t pid = 0;
    const BgwHandleStatus status = GetBackgroundWorkerPid(job->handle, &pid);
    if (status == BGWH_STOPPED) return;
    if (status == BGWH_POSTMASTER_DIED) {
      ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN),
                      errmsg("terminating connection due to unexpected postmaster exit")));
    }
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kWaitSliceMs,
                    PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    ShowNotices(&GetSharedState()->jobs[job->slot], notices_shown);
    ShowProgress(job->slot, &notices);
  }
}

// Under the lock.
void CountVerify(SharedState* shared, bool came_to_its_end) {
  if (came_to_its_end) {
    shared->last_verify_end = GetCurrentTimestamp();
    shared->last_verify_failure = 0;
    shared->verify_failures_in_a_row = 0;
  } else {
    shared->last_verify_failure = GetCurrentTimestamp();
    shared->verify_failures_in_a_row++;
  }
}

// Of one that made no backup. Under the lock.
void CountAutomaticEnd(SharedState* shared, const JobSlot& slot, const PlainError* error) {
  const TimestampTz now = GetCurrentTimestamp();
  if (slot.locked_out) {
    shared->last_locked_out = now;
    return;
  }
  if (slot.ended_with_window) {
    shared->last_cut_off = now;
    return;
  }
  if (error->canceled) {
    shared->last_automatic_cancel = now;
    return;
  }
  const TimestampTz window = slot.request.window_opened_at;
  shared->failures_of_window = shared->failed_window == window ? shared->failures_of_window + 1 : 1;
  shared->failed_window = window;
  shared->automatic_failures_in_a_row++;
  shared->last_automatic_failure = now;
  static_assert(sizeof(shared->last_automatic_error) == sizeof(error->message));
  std::memcpy(shared->last_automatic_error, error->message, sizeof(error->message));
}

}  // namespace

bool IsAutomaticBackup(const JobSlot& slot) {
  return slot.request.kind == JobKind::kBackup &&
         std::strcmp(slot.request.trigger, "schedule") == 0;
}

void RequirePreloaded(void) {
  if (GetSharedState() != nullptr) return;
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("backup_ext is not loaded by the server"),
           errdetail("Its background workers need shared memory that is reserved at server start."),
           errhint("Add backup_ext to shared_preload_libraries and restart the server.")));
}

StartedJob StartJob(const JobRequest* request, Waiting waiting) {
  StartedJob job;
  std::memset(&job, 0, sizeof(job));
  RequirePreloaded();
  job.slot = ClaimSlot(request, waiting, &job.generation);
  if (!RegisterWorker(request, job.slot, job.generation, &job.handle)) {
    GiveUpSlot(0, PointerGetDatum(&job));
    ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                    errmsg("could not start job: no background worker is free"),
                    errhint("Increase max_worker_processes, or wait until other background "
                            "workers have ended.")));
  }
  // FATAL too: a slot whose waiter is gone would stay taken for good.
  PG_ENSURE_ERROR_CLEANUP(GiveUpSlot, PointerGetDatum(&job));
  { WaitUntilStarted(&job); }
  PG_END_ENSURE_ERROR_CLEANUP(GiveUpSlot, PointerGetDatum(&job));
  return job;
}

void WaitForJob(const StartedJob* job) {
  volatile uint32 notices_shown = 0;
  PG_ENSURE_ERROR_CLEANUP(AbandonJob, PointerGetDatum(job));
  {
    WaitUntilStopped(job, &notices_shown);
    ShowNotices(&GetSharedState()->jobs[job->slot], &notices_shown);
  }
  PG_END_ENSURE_ERROR_CLEANUP(AbandonJob, PointerGetDatum(job));

  SharedState* const shared = GetSharedState();
  JobSlot* const slot = &shared->jobs[job->slot];
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  const JobState state = slot->state;
  const PlainError error = slot->error;
  char warning[sizeof(slot->warning)];
  std::memcpy(warning, slot->warning, sizeof(warning));
  slot->state = JobState::kFree;
  LWLockRelease(shared->lock);

  if (state == JobState::kFailed) ReportPlainError(error, ERROR);
  if (state != JobState::kSucceeded) {
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("background worker of job %s ended unexpectedly", slot->request.job_id),
                    errhint("More details may be available in the server log.")));
  }
  if (warning[0] != '\0') ereport(WARNING, (errmsg_internal("%s", warning)));
}

bool BackupIsRunning(void) {
  SharedState* const shared = GetSharedState();
  bool running = false;
  LWLockAcquire(shared->lock, LW_SHARED);
  for (const JobSlot& slot : shared->jobs) {
    if (IsLive(slot) && MakesBackup(&slot.request)) running = true;
  }
  LWLockRelease(shared->lock);
  return running;
}

bool CancelJob(const char* job_id) {
  SharedState* const shared = GetSharedState();
  bool found = false;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  for (int i = 0; i < kMaxJobs; i++) {
    JobSlot* const slot = &shared->jobs[i];
    if (!IsLive(*slot) || std::strcmp(slot->request.job_id, job_id) != 0) continue;
    SignalCancel(slot);
    if (IsAutomaticBackup(*slot)) shared->last_automatic_cancel = GetCurrentTimestamp();
    // Its worker has not come, and may never: when it does, it finds its slot given up.
    if (slot->state == JobState::kRequested && slot->waiter_pid == 0) slot->state = JobState::kFree;
    found = true;
  }
  LWLockRelease(shared->lock);
  return found;
}

bool VerifyIsRunning(void) {
  SharedState* const shared = GetSharedState();
  bool running = false;
  LWLockAcquire(shared->lock, LW_SHARED);
  for (const JobSlot& slot : shared->jobs) {
    if (IsLive(slot) && slot.request.kind == JobKind::kVerify) running = true;
  }
  LWLockRelease(shared->lock);
  return running;
}

JobSlot* AttachJob(int index, uint64 generation) {
  SharedState* const shared = GetSharedState();
  JobSlot* slot = nullptr;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  if (index >= 0 && index < kMaxJobs && shared->jobs[index].generation == generation &&
      shared->jobs[index].state == JobState::kRequested) {
    slot = &shared->jobs[index];
    slot->state = JobState::kRunning;
    slot->worker_pid = MyProcPid;
  }
  LWLockRelease(shared->lock);
  return slot;
}

JobSlot* BeginOwnJob(const JobRequest* request) {
  SharedState* const shared = GetSharedState();
  uint64 generation = 0;
  JobSlot* const slot = &shared->jobs[ClaimSlot(request, Waiting::kNobodyWaits, &generation)];
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->state = JobState::kRunning;
  slot->worker_pid = MyProcPid;
  LWLockRelease(shared->lock);
  return slot;
}

void EndOwnJob(JobSlot* slot, const PlainError* error) { PublishJobEnd(slot, error); }

void PublishJobEnd(JobSlot* slot, const PlainError* error) {
  SharedState* const shared = GetSharedState();
  const bool is_verify = slot->request.kind == JobKind::kVerify;
  const bool automatic = !is_verify && IsAutomaticBackup(*slot);
  const bool made_backup = error == nullptr && slot->request.kind == JobKind::kBackup;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->worker_pid = 0;
  if (error != nullptr) slot->error = *error;
  slot->state = error == nullptr ? JobState::kSucceeded : JobState::kFailed;
  if (made_backup) {
    // Whoever asked for it: the series of failures is over.
    shared->automatic_failures_in_a_row = 0;
    shared->last_automatic_failure = 0;
    shared->last_automatic_error[0] = '\0';
    shared->failures_of_window = 0;
    shared->last_cut_off = 0;
  } else if (automatic && error != nullptr) {
    CountAutomaticEnd(shared, *slot, error);
  }
  if (is_verify) CountVerify(shared, error == nullptr);
  EventQueue* const events = &shared->events;
  DescribeEnd(*slot, error, &events->ends[events->next++ % kEventRoom]);
  if (slot->waiter_pid == 0) slot->state = JobState::kFree;
  if (shared->launcher_latch != nullptr) SetLatch(shared->launcher_latch);
  LWLockRelease(shared->lock);
}

}  // namespace backup_ext
