// SQL: backup_expire, backup_drop, backup_pin, backup_unpin.
#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/machine.h"
#include "expire/expiry.h"
#include "format/names.h"
#include "store/catalog.h"
#include "store/lock.h"
#include "store/notes.h"

#include "boundary.h"
#include "function_arguments.h"
#include "guard.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "reported_run.h"
#include "result_set.h"
#include "retention_job.h"
#include "settings.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

void ServeInterrupts() {
  CallPostgres([] { CHECK_FOR_INTERRUPTS(); });
}

// Says what is in the way better than the lock's holder does, where it is a backup of ours.
std::unique_ptr<WriterLock> LockForRemoval(const Repository& repository, const char* what) {
  try {
    return WriterLock::Acquire(
        repository, fmt::format("{} (PID {} on {})", what, MyProcPid, HostName()), ServeInterrupts);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kLocked) throw;
    throw Error(error.code(), "cannot remove backups now: " + error.message(), error.detail(),
                error.hint());
  }
}

std::function<void()> ServingInterrupts(WriterLock* lock) {
  return [lock] {
    ServeInterrupts();
    lock->Renew();
  };
}

SqlRow RowOf(const ExpiryRow& row) {
  return {row.backup_id, std::string(row.removed ? "remove" : "keep"), row.because,
          static_cast<int64_t>(row.freed_bytes)};
}

void ShowPlan(FunctionCallInfo call) {
  ResultSet rows(call);
  for (const ExpiryRow& row : PlanExpiry(OpenOwnRepository(), CurrentSettings().retention)) {
    rows.Add(RowOf(row));
  }
}

void FillExpireRequest(JobRequest* request) {
  (void)RequireRepository(CurrentSettings());
  request->kind = JobKind::kExpire;
  CopyArgument(NewJobId(Now()), "job id", request->job_id);
  CopyArgument("manual", "trigger", request->trigger);
}

std::vector<ExpiryRow> Expire(JobSlot* slot) {
  const Repository repository = OpenOwnRepositoryToWrite();
  const auto lock = LockForRemoval(repository, "backup_expire()");
  const auto pause_point = ServingInterrupts(lock.get());
  std::vector<ExpiryRow> result =
      ExpireBackups(repository, *lock, CurrentSettings().retention, pause_point, &slot->progress);
  LogExpiry(result);
  slot->figures.freed_bytes = FreedBytes(result);
  return result;
}

// `*error` is what the job ended with, for those who are told.
void ExpireReported(FunctionCallInfo call, JobSlot* slot, PlainError* error) {
  ResultSet rows(call);
  std::vector<ExpiryRow> result;
  try {
    RunReported(slot, [&] { result = Expire(slot); });
  } catch (...) {
    DescribeCurrentException(error);
    throw;
  }
  for (const ExpiryRow& row : result) rows.Add(RowOf(row));
}

struct OwnJob {
  JobSlot* slot;
  PlainError error;
};

void EndFailedJob(int /*code*/, Datum argument) {
  OwnJob* const job = reinterpret_cast<OwnJob*>(DatumGetPointer(argument));
  EndOwnJob(job->slot, &job->error);
}

void Drop(const char* backup_id, bool force) {
  const Repository repository = OpenOwnRepositoryToWrite();
  const auto lock = LockForRemoval(repository, "backup_drop()");
  const auto pause_point = ServingInterrupts(lock.get());
  const std::string id = DropBackup(repository, *lock, backup_id, force, pause_point);
  const char* const text = id.c_str();
  CallPostgres([&] { ereport(LOG, (errmsg("backup_ext: backup %s dropped", text))); });
}

Microseconds PinEnd(TimestampTz until) {
  if (TIMESTAMP_IS_NOEND(until)) return kPinnedForEver;
  const Microseconds end = TIMESTAMP_IS_NOBEGIN(until) ? 0 : until + kPostgresEpoch;
  if (end > Now()) return end;
  throw Error(ErrorCode::kInvalidArgument, "cannot pin a backup until a time that is past", {},
              "To take a pin off, call backup_unpin().");
}

// By its id, or "latest".
std::string ResolveId(const Repository& repository, const char* backup_id) {
  return FindBackup(repository, backup_id).backup_id;
}

void Pin(const char* backup_id, TimestampTz until) {
  const Microseconds end = PinEnd(until);
  const Repository repository = OpenOwnRepositoryToWrite();
  AddPinNote(repository, ResolveId(repository, backup_id), {Now(), end});
}

void Unpin(const char* backup_id) {
  const Repository repository = OpenOwnRepositoryToWrite();
  const std::string id = ResolveId(repository, backup_id);
  const BackupNotes notes = ReadNotes(repository, id);
  const bool has_pin = notes.pin && notes.pin->pinned_until != kNotPinned;
  if (has_pin || notes.unreadable_pin) AddPinNote(repository, id, {Now(), kNotPinned});
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_expire);
PG_FUNCTION_INFO_V1(backup_ext_backup_drop);
PG_FUNCTION_INFO_V1(backup_ext_backup_pin);
PG_FUNCTION_INFO_V1(backup_ext_backup_unpin);

Datum backup_ext_backup_expire(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  // NULL is not taken for false: what was not said clearly removes nothing.
  const bool dry_run = BoolArgument(fcinfo, 0, true);
  if (dry_run) {
    Enter([fcinfo] { ShowPlan(fcinfo); });
    return 0;
  }
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  Enter([&] { FillExpireRequest(&request); });
  OwnJob job;
  std::memset(static_cast<void*>(&job), 0, sizeof(job));
  snprintf(job.error.message, sizeof(job.error.message), "the session ended");
  job.slot = BeginOwnJob(&request);
  PG_ENSURE_ERROR_CLEANUP(EndFailedJob, PointerGetDatum(&job));
  {
    Enter([&] { ExpireReported(fcinfo, job.slot, &job.error); });
  }
  PG_END_ENSURE_ERROR_CLEANUP(EndFailedJob, PointerGetDatum(&job));
  EndOwnJob(job.slot, nullptr);
  return 0;
}

Datum backup_ext_backup_drop(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const backup_id = TextArgument(fcinfo, 0);
  const bool force = BoolArgument(fcinfo, 1, false);
  RequireArgument(backup_id, "backup_id");
  Enter([&] { Drop(backup_id, force); });
  PG_RETURN_VOID();
}

Datum backup_ext_backup_pin(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const backup_id = TextArgument(fcinfo, 0);
  RequireArgument(backup_id, "backup_id");
  if (PG_ARGISNULL(1)) RequireArgument(nullptr, "until");
  const TimestampTz until = PG_GETARG_TIMESTAMPTZ(1);
  Enter([&] { Pin(backup_id, until); });
  PG_RETURN_VOID();
}

Datum backup_ext_backup_unpin(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const backup_id = TextArgument(fcinfo, 0);
  RequireArgument(backup_id, "backup_id");
  Enter([&] { Unpin(backup_id); });
  PG_RETURN_VOID();
}

}  // extern "C"
