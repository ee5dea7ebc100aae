// The launcher: the one process that is always there. Starts the automatic backup inside the
// window, and the verify of the newest backup.
//
// It reads the repository's catalog only where a backup or a verify may be due, never exits for
// good (exit code 1 is restarted, 0 would not be), and never loops hot: it sleeps between looks,
// and a failed backup is retried with growing pauses.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "format/names.h"
#include "policy/schedule.h"
#include "policy/verify_schedule.h"
#include "store/catalog.h"
#include "store/notes.h"

#include "background_worker.h"
#include "boundary.h"
#include "event_workers.h"
#include "first_start_end.h"
#include "guard.h"
#include "jobs.h"
#include "launcher.h"
#include "postgres_headers.h"
#include "promise_watch.h"
#include "schedule_watch.h"
#include "settings.h"
#include "shared_state.h"
#include "stage_job.h"
#include "timestamp.h"
#include "version.h"

namespace backup_ext {
namespace {

constexpr long kSleepMs = 20 * 1000L;
constexpr int kRestartSeconds = 10;
// When there is nothing to verify, the catalog is not read again before this.
constexpr Microseconds kVerifyLookPause = 60 * kMicrosecondsPerSecond;
// Without a job that ends, the promise is looked at this often.
constexpr Microseconds kPromiseLookPause = 15 * 60 * kMicrosecondsPerSecond;
// The same complaint is written to the log at most this often.
constexpr int64_t kComplaintPauseUs = 3600LL * 1000 * 1000;

void LeaveSharedState(int /*code*/, Datum /*argument*/) {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  shared->launcher_pid = 0;
  shared->launcher_latch = nullptr;
  LWLockRelease(shared->lock);
}

void EnterSharedState() {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  shared->launcher_pid = MyProcPid;
  shared->launcher_latch = MyLatch;
  LWLockRelease(shared->lock);
  on_shmem_exit(LeaveSharedState, 0);
}

// What the launcher remembers from one look to the next.
struct Memory {
  ScheduleMemory schedule;
  // When the newest verify ended that was seen, 0: none; and when to look for one again, by
  // MonotonicNow().
  Microseconds seen_verify = 0;
  Microseconds next_verify_look = 0;
  // When to look at the promise again, by MonotonicNow(), and how many jobs had ended by then.
  Microseconds next_promise_look = 0;
  uint64_t seen_jobs_ended = 0;
  // Whether the first start of an activated stage has come to its end, where this is one.
  bool first_start_ended = false;
};

// At a reload.
void ForgetWhatWasSeen(Memory* memory) {
  memory->schedule.seen_success = 0;
  memory->seen_verify = 0;
  memory->next_verify_look = 0;
  memory->next_promise_look = 0;
  memory->seen_jobs_ended = 0;
}

enum class Look { kFine, kFailed };

void Publish(const char* note, Look look) {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  snprintf(shared->schedule_note, sizeof(shared->schedule_note), "%s", note);
  shared->schedule_troubled = look == Look::kFailed;
  LWLockRelease(shared->lock);
}

// Who reloads has mended something: the next run does not wait for the end of its pause.
void ForgetFailurePause() {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  shared->last_automatic_failure = 0;
  LWLockRelease(shared->lock);
}

void FillRequest(const ScheduleState& state, JobRequest* request) {
  std::memset(static_cast<void*>(request), 0, sizeof(*request));
  request->kind = JobKind::kBackup;
  const std::string backup_id = NewBackupId(Now());
  const std::string job_id = NewJobId(Now());
  snprintf(request->backup_id, sizeof(request->backup_id), "%s", backup_id.c_str());
  snprintf(request->job_id, sizeof(request->job_id), "%s", job_id.c_str());
  snprintf(request->trigger, sizeof(request->trigger), "%s", "schedule");
  snprintf(request->backup_kind, sizeof(request->backup_kind), "%s", "auto");
  request->fast_checkpoint = false;
  const MediaSettings media = CurrentMediaSettings();
  request->include_media = media.on_schedule && !media.directories.empty();
  request->window_opened_at = ToTimestamp(state.window_opened_at);
  request->begun_in_window_at = state.window_open ? ToTimestamp(state.now) : 0;
}

VerifyState ViewVerifies(const Settings& settings, const Memory& memory) {
  SharedState* const shared = GetSharedState();
  VerifyState state;
  TimestampTz last_end = 0, last_failure = 0;
  bool in_recovery = false;
  CallPostgres([&] {
    in_recovery = RecoveryInProgress();
    state.backup_running = BackupIsRunning();
    state.verify_running = VerifyIsRunning();
    LWLockAcquire(shared->lock, LW_SHARED);
    last_end = shared->last_verify_end;
    last_failure = shared->last_verify_failure;
    state.failures_in_a_row = shared->verify_failures_in_a_row;
    LWLockRelease(shared->lock);
  });
  state.runs_elsewhere = !WhyNotHere(settings.schedule.run_on, in_recovery).empty();
  state.interval = settings.verify_interval;
  state.now = Now();
  // What could not be remembered in the repository counts too.
  state.last_end = std::max(memory.seen_verify, FromTimestamp(last_end));
  state.last_failure = FromTimestamp(last_failure);
  return state;
}

// The newest good backup, empty where there is none; `*last_end`: when a verify of any backup last
// ended.
std::string NewestToVerify(Microseconds* last_end) {
  std::string newest;
  try {
    const Repository repository = OpenOwnRepository();
    for (const BackupRecord& record : ReadCatalog(repository).backups) {
      if (newest.empty() && record.state == "complete") newest = record.backup_id;
      const std::optional<VerifyNote> note = ReadNotes(repository, record.backup_id).verify;
      if (note) *last_end = std::max(*last_end, note->made_at);
    }
  } catch (const Error& error) {
    // There is nothing to verify before the first backup.
    if (error.code() != ErrorCode::kNoRepository) throw;
  }
  return newest;
}

// The backup to verify now; empty: none.
std::string DueVerify(Memory* memory) {
  const Settings settings = CurrentSettings();
  if (settings.verify_interval == 0 || settings.repository.empty()) return {};
  VerifyState state = ViewVerifies(settings, *memory);
  if (!IsVerifyDue(state) || MonotonicNow() < memory->next_verify_look) return {};
  // Set before what may fail: a repository that cannot be read is not asked all the time.
  memory->next_verify_look = MonotonicNow() + kVerifyLookPause;
  std::string newest = NewestToVerify(&memory->seen_verify);
  state.last_end = std::max(state.last_end, memory->seen_verify);
  return IsVerifyDue(state) ? newest : std::string();
}

void FillVerifyRequest(const std::string& backup_id, JobRequest* request) {
  std::memset(static_cast<void*>(request), 0, sizeof(*request));
  request->kind = JobKind::kVerify;
  const std::string job_id = NewJobId(Now());
  snprintf(request->backup_id, sizeof(request->backup_id), "%s", backup_id.c_str());
  snprintf(request->job_id, sizeof(request->job_id), "%s", job_id.c_str());
  snprintf(request->trigger, sizeof(request->trigger), "%s", "schedule");
}

void VerifyWhereDue(Memory* memory) {
  const std::string backup_id = DueVerify(memory);
  if (backup_id.empty()) return;
  JobRequest request;
  FillVerifyRequest(backup_id, &request);
  CallPostgres([&] { (void)StartJob(&request, Waiting::kNobodyWaits); });
}

// Reads the catalog now and then, and after each job: warns when the newest good backup is too old.
void WatchPromise(Memory* memory) {
  const Settings settings = CurrentSettings();
  if (!settings.enabled || settings.repository.empty()) return;
  uint64 jobs_ended = 0;
  bool is_running = false;
  CallPostgres([&] {
    is_running = BackupIsRunning();
    LWLockAcquire(GetSharedState()->lock, LW_SHARED);
    jobs_ended = GetSharedState()->events.next;
    LWLockRelease(GetSharedState()->lock);
  });
  const bool is_time = MonotonicNow() >= memory->next_promise_look;
  if (is_running || (!is_time && jobs_ended == memory->seen_jobs_ended)) return;
  // Before what may fail: a repository that cannot be read is not asked all the time.
  memory->next_promise_look = MonotonicNow() + kPromiseLookPause;
  memory->seen_jobs_ended = jobs_ended;
  memory->schedule.seen_success = NewestGoodBackup(Now(), &memory->schedule);
  WarnOfBrokenPromise(settings, memory->schedule.seen_success);
}

// First: what comes after may hang with the repository.
void TellOfEvents() {
  const Settings settings = CurrentSettings();
  const char* const command = settings.event_command.c_str();
  CallPostgres([&] { StartEventWorkers(command); });
}

// One look at the clock and the catalog; starts a worker where a backup is due, or a verify.
void Tick(Memory* memory) {
  CallPostgres([] { CHECK_FOR_INTERRUPTS(); });
  TellOfEvents();
  const ScheduleState state = ViewSchedule(&memory->schedule);
  ScheduleDecision decision = DecideAutomaticBackup(state);
  if (decision.run && IsRepositoryLocked()) {
    decision = {.run = false, .because = "somebody else writes to the repository"};
  }
  const char* const note = decision.because.c_str();
  CallPostgres([&] { Publish(note, Look::kFine); });
  TellFailedWindow(state, &memory->schedule);
  if (!decision.run) {
    VerifyWhereDue(memory);
    WatchPromise(memory);
    return;
  }
  JobRequest request;
  FillRequest(state, &request);
  CallPostgres([&] {
    ereport(LOG, (errmsg("backup_ext: an automatic backup begins: %s", note)));
    (void)StartJob(&request, Waiting::kNobodyWaits);
  });
}

// A fault of one look is a warning, at a sensible pace; the next look comes anyway.
void Complain(const PlainError& error) {
  static int64_t last_complaint_us = 0;
  static char last_message[sizeof(error.message)] = "";
  const int64_t now_us = MonotonicNow();
  const bool same = std::strcmp(last_message, error.message) == 0;
  if (same && last_complaint_us != 0 && now_us - last_complaint_us < kComplaintPauseUs) return;
  last_complaint_us = now_us;
  std::memcpy(last_message, error.message, sizeof(last_message));
  ReportPlainError(error, WARNING);
}

void Sleep() {
  // Starting a worker waits on the latch as well: it may have taken the news of a signal.
  if (!ShutdownRequestPending && !ConfigReloadPending) {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kSleepMs,
                    PG_WAIT_EXTENSION);
  }
  ResetLatch(MyLatch);
}

// Ends by proc_exit() alone: these frames own nothing.
void RunLauncher(MemoryContext context) {
  Memory memory;
  for (;;) {
    if (ShutdownRequestPending) proc_exit(1);
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
      ForgetFailurePause();
      ForgetWhatWasSeen(&memory);
    }
    QueryCancelPending = false;  // there is nothing to cancel
    PlainError error;
    if (!memory.first_start_ended &&
        !RunCatchingAll([&memory] { memory.first_start_ended = EndFirstStart(); }, &error)) {
      Complain(error);
    }
    if (!RunCatchingAll([&memory] { Tick(&memory); }, &error)) {
      Publish(error.message, Look::kFailed);
      Complain(error);
    }
    MemoryContextSwitchTo(context);
    MemoryContextReset(context);
    Sleep();
  }
}

}  // namespace

void RegisterLauncher() {
  BackgroundWorker worker =
      DescribeWorker("launcher", "backup_ext launcher", "backup_ext_launcher_main");
  worker.bgw_restart_time = kRestartSeconds;
  RegisterBackgroundWorker(&worker);
}

}  // namespace backup_ext

extern "C" {

PGDLLEXPORT void backup_ext_launcher_main(Datum argument);

void backup_ext_launcher_main(Datum /*argument*/) {
  using namespace backup_ext;
  pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  CurrentResourceOwner = nullptr;
  CreateAuxProcessResourceOwner();
  CurrentResourceOwner = AuxProcessResourceOwner;
  EnterSharedState();
  pgstat_report_appname("backup_ext launcher");
  const MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "backup_ext launcher", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  RunLauncher(context);
}

}  // extern "C"
