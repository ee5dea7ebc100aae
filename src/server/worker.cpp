// The worker process: one job, then the end. Whatever goes wrong ends the job and this process,
// with exit code 0 or 1, so that the server goes on.
#include <cstring>

#include "backup_job.h"
#include "boundary.h"
#include "export_job.h"
#include "guard.h"
#include "job_end.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "reported_run.h"
#include "shared_state.h"
#include "stage_job.h"
#include "timestamp.h"
#include "verify_job.h"
#include "wal_collector.h"

namespace backup_ext {
namespace {

// How this process' job ended, for the callback that publishes it. Plain data: exit callbacks run
// after an error or a FATAL as well.
struct Outcome {
  JobSlot* slot;
  bool succeeded;
  bool is_assumed;  // no error was caught: this process was told to end inside of PostgreSQL
  PlainError error;
};
Outcome outcome;

void PublishOutcome(int /*code*/, Datum /*argument*/) {
  PublishJobEnd(outcome.slot, outcome.succeeded ? nullptr : &outcome.error);
}

// While the slot is still there. A wait for the checkpoint ends with FATAL, which is not caught:
// the history learns of it from the next run.
void TellWhyTerminated(int /*code*/, Datum /*argument*/) {
  if (outcome.succeeded || !outcome.is_assumed) return;
  if (IsSlotGivenUp()) {
    snprintf(outcome.error.message, sizeof(outcome.error.message), "%s", kSlotGivenUp);
    snprintf(outcome.error.hint, sizeof(outcome.error.hint), "%s", kSlotGivenUpHint);
  }
  char name[160];
  NameJob(outcome.slot->request, name, sizeof(name));
  ereport(LOG, (errmsg("backup_ext: %s failed: %s", name, outcome.error.message)));
}

void AssumeTerminated(PlainError* error) {
  outcome.is_assumed = true;
  std::memset(static_cast<void*>(error), 0, sizeof(*error));
  snprintf(error->sql_state, sizeof(error->sql_state), "57P01");
  snprintf(error->message, sizeof(error->message), "background worker was terminated");
}

void DoJob(JobSlot* slot) {
  const JobRequest request = slot->request;
  if (request.kind == JobKind::kStage) {
    RunStage(request, slot);
    return;
  }
  if (request.kind == JobKind::kVerify) {
    RunVerify(request, slot);
    return;
  }
  if (request.kind == JobKind::kExport) {
    RunExport(request, slot);
    return;
  }
  RunBackup({.backup_id = request.backup_id,
             .label = request.label,
             .trigger = request.trigger,
             .kind = request.backup_kind,
             .fast_checkpoint = request.fast_checkpoint,
             .include_media = request.include_media,
             .window_opened_at = FromTimestamp(request.window_opened_at)},
            slot);
}

void RunJob(JobSlot* slot) {
  RunReported(slot, [slot] { DoJob(slot); });
}

// Set by a test module that is preloaded as well.
void LetTestsObserve() {
  phase_observer =
      reinterpret_cast<PhaseObserver>(*find_rendezvous_variable("backup_ext_phase_observer"));
}

void ShowJob(const JobSlot& slot) {
  char activity[160];
  NameJob(slot.request, activity, sizeof(activity));
  pgstat_report_appname("backup_ext");
  pgstat_report_activity(STATE_RUNNING, activity);
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PGDLLEXPORT void backup_ext_worker_main(Datum argument);

void backup_ext_worker_main(Datum argument) {
  using namespace backup_ext;
  uint64 generation = 0;
  std::memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));

  // Before a signal can end this process: a job that nobody took would seem to run for ever.
  outcome.slot = AttachJob(DatumGetInt32(argument), generation);
  if (outcome.slot == nullptr) proc_exit(0);  // given up meanwhile
  AssumeTerminated(&outcome.error);
  on_shmem_exit(PublishOutcome, 0);

  pqsignal(SIGTERM, die);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  CurrentResourceOwner = nullptr;
  CreateAuxProcessResourceOwner();
  CurrentResourceOwner = AuxProcessResourceOwner;
  before_shmem_exit(TellWhyTerminated, 0);
  ShowJob(*outcome.slot);
  LetTestsObserve();
  MemoryContextSwitchTo(
      AllocSetContextCreate(TopMemoryContext, "backup_ext job", ALLOCSET_DEFAULT_SIZES));

  JobSlot* const slot = outcome.slot;
  PlainError error;
  if (!RunCatchingAll([slot] { RunJob(slot); }, &error)) {
    outcome.error = error;
    outcome.is_assumed = false;
    QueryCancelPending = false;
    // What the schedule provides for is no error in the server's log.
    const bool is_foreseen =
        IsAutomaticBackup(*slot) && (slot->ended_with_window || slot->locked_out);
    ReportPlainError(error, is_foreseen ? LOG : ERROR);
    proc_exit(0);
  }
  outcome.succeeded = true;
  proc_exit(0);
}

}  // extern "C"
