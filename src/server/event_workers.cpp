// Who is told of the end of a job.
#include "event_workers.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "background_worker.h"
#include "boundary.h"
#include "event_command.h"
#include "guard.h"
#include "job_end.h"
#include "postgres_headers.h"
#include "result_set.h"
#include "settings.h"
#include "shared_state.h"

namespace backup_ext {
namespace {

// Of the payload of a notification PostgreSQL allows one byte less than 8000.
constexpr size_t kPayloadLimitBytes = 7900;
constexpr size_t kEventLimitBytes = 32 * 1024;
constexpr int kMaxDatabases = 64;
constexpr const char* kChannel = "backup_ext";

// What a notifying worker is to do, in bgw_extra.
struct Notification {
  uint64 from;
  uint64 to;
};

// The launcher's own memory.
BackgroundWorkerHandle* command_worker = nullptr;
BackgroundWorkerHandle* notify_worker = nullptr;
Oid databases[kMaxDatabases];
int databases_left = 0;
Notification notification;

// The one that was started last has ended.
bool IsOver(BackgroundWorkerHandle** worker) {
  if (*worker == nullptr) return true;
  pid_t pid = 0;
  if (GetBackgroundWorkerPid(*worker, &pid) != BGWH_STOPPED) return false;
  pfree(*worker);
  *worker = nullptr;
  return true;
}

// Null when no background worker is free: the next look tries again. Database 0: none.
BackgroundWorkerHandle* StartWorker(Oid database, const Notification& what) {
  BackgroundWorker worker = DescribeWorker(database == 0 ? "event command" : "notifier",
                                           "backup_ext event", "backup_ext_event_main");
  worker.bgw_main_arg = ObjectIdGetDatum(database);
  static_assert(sizeof(what) <= BGW_EXTRALEN);
  std::memcpy(worker.bgw_extra, &what, sizeof(what));
  worker.bgw_notify_pid = MyProcPid;
  BackgroundWorkerHandle* handle = nullptr;
  const MemoryContext saved = MemoryContextSwitchTo(TopMemoryContext);
  if (!RegisterDynamicBackgroundWorker(&worker, &handle)) handle = nullptr;
  MemoryContextSwitchTo(saved);
  return handle;
}

// The databases that a session is connected to: nobody listens in the others.
int ConnectedDatabases(Oid* oids) {
  int count = 0;
  LWLockAcquire(ProcArrayLock, LW_SHARED);
  for (uint32 i = 0; i < ProcGlobal->allProcCount && count < kMaxDatabases; i++) {
    const PGPROC* const process = &ProcGlobal->allProcs[i];
    const Oid database = process->databaseId;
    if (process->pid == 0 || database == InvalidOid) continue;
    bool known = false;
    for (int k = 0; k < count; k++) known = known || oids[k] == database;
    if (!known) oids[count++] = database;
  }
  LWLockRelease(ProcArrayLock);
  return count;
}

void StartCommand(EventQueue* events, LWLock* lock, const char* command) {
  if (!IsOver(&command_worker)) return;
  LWLockAcquire(lock, LW_EXCLUSIVE);
  if (command[0] == '\0') events->command_next = events->next;
  const bool is_due = events->command_next < events->next;
  LWLockRelease(lock);
  if (is_due) command_worker = StartWorker(InvalidOid, {});
}

void StartNotifications(EventQueue* events, LWLock* lock) {
  if (!IsOver(&notify_worker)) return;
  if (databases_left == 0) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    notification = {events->notify_next, events->next};
    events->notify_next = events->next;
    LWLockRelease(lock);
    // A standby has no notifications.
    if (notification.from == notification.to || RecoveryInProgress()) return;
    databases_left = ConnectedDatabases(databases);
  }
  if (databases_left == 0) return;
  notify_worker = StartWorker(databases[databases_left - 1], notification);
  if (notify_worker != nullptr) databases_left--;
}

// A copy of event number `number`, or of the first one after it that is not lost yet; false when
// there is none before `to`. `*number` is moved to it.
bool CopyEvent(uint64* number, uint64 to, JobEnd* end) {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_SHARED);
  const EventQueue& events = shared->events;
  if (events.next > kEventRoom && *number < events.next - kEventRoom) {
    *number = events.next - kEventRoom;
  }
  const bool found = *number < to && *number < events.next;
  if (found) *end = events.ends[*number % kEventRoom];
  LWLockRelease(shared->lock);
  return found;
}

// The next event for the command; `*lost` of them were overwritten before they could be told.
bool TakeEvent(JobEnd* end, uint64* lost) {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_SHARED);
  const uint64 wanted = shared->events.command_next;
  LWLockRelease(shared->lock);
  uint64 number = wanted;
  const bool found = CopyEvent(&number, PG_UINT64_MAX, end);
  *lost = number - wanted;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  shared->events.command_next = found ? number + 1 : number;
  LWLockRelease(shared->lock);
  return found;
}

bool MustEnd() { return ProcDiePending || !PostmasterIsAlive(); }

// Interrupts are looked at by MustEnd(): the command's group must be ended first.
void WaitAMoment() {
  CallPostgresUninterrupted([] {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH, 100,
                    PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  });
}

void Warn(const std::string& message) {
  const char* const text = message.c_str();
  CallPostgresUninterrupted([&] {
    ereport(WARNING, (errmsg_internal("%s", text),
                      errhint("The job itself is not concerned. See backup_history().")));
  });
}

void RunCommands() {
  for (;;) {
    JobEnd end;
    uint64 lost = 0;
    bool found = false;
    CallPostgres([&] { found = TakeEvent(&end, &lost); });
    if (lost > 0) Warn(fmt::format("event_command was not run for {} jobs: it is too slow", lost));
    const std::string command = CurrentSettings().event_command;
    if (!found || command.empty()) return;
    const RunReport report = ReportOf(end);
    const std::string problem = RunEventCommand(
        command, DescribeRun(report, kEventLimitBytes) + "\n", MustEnd, WaitAMoment);
    if (!problem.empty()) {
      Warn(fmt::format("event_command for {} of job {} {}", report.operation, report.job_id,
                       problem));
    }
    if (MustEnd()) return;
  }
}

// Every user of the database may listen: no error, path or label, which are for backup_history().
std::string Payload(const JobEnd& end) {
  RunReport report = ReportOf(end);
  for (std::string* text : {&report.error, &report.detail, &report.hint, &report.label,
                            &report.host, &report.data_directory}) {
    text->clear();
  }
  return ToServerText(DescribeRun(report, kPayloadLimitBytes));
}

void NotifyAll(const Notification& what) {
  bool is_installed = false;
  CallPostgres([&] {
    StartTransactionCommand();
    is_installed = OidIsValid(get_extension_oid("backup_ext", true));
    CommitTransactionCommand();
  });
  if (!is_installed) return;
  uint64 number = what.from;
  JobEnd end;
  for (;; number++) {
    bool found = false;
    CallPostgres([&] { found = CopyEvent(&number, what.to, &end); });
    if (!found) return;
    const std::string payload = Payload(end);
    const char* const text = payload.c_str();
    CallPostgres([&] {
      StartTransactionCommand();
      Async_Notify(kChannel, text);
      CommitTransactionCommand();
    });
  }
}

}  // namespace

void StartEventWorkers(const char* event_command) {
  SharedState* const shared = GetSharedState();
  StartCommand(&shared->events, shared->lock, event_command);
  StartNotifications(&shared->events, shared->lock);
}

}  // namespace backup_ext

extern "C" {

PGDLLEXPORT void backup_ext_event_main(Datum argument);

void backup_ext_event_main(Datum argument) {
  using namespace backup_ext;
  const Oid database = DatumGetObjectId(argument);
  Notification what;
  std::memcpy(&what, MyBgworkerEntry->bgw_extra, sizeof(what));
  pqsignal(SIGTERM, die);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  PlainError error;
  bool fine = true;
  if (database == InvalidOid) {
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    fine = RunCatchingAll([] { RunCommands(); }, &error);
  } else {
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
    fine = RunCatchingAll([&what] { NotifyAll(what); }, &error);
  }
  if (!fine) ReportPlainError(error, WARNING);
  proc_exit(0);
}

}  // extern "C"
