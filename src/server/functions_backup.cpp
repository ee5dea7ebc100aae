// SQL: backup_now, backup_cancel, backup_list, backup_progress.
#include <cstring>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "expire/expiry.h"
#include "format/names.h"
#include "store/catalog.h"

#include "boundary.h"
#include "cluster_state.h"
#include "function_arguments.h"
#include "guard.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "result_set.h"
#include "settings.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

struct BackupNowArguments {
  const char* label;  // null: none
  const char* kind;
  bool include_media;
};

void FillBackupRequest(const BackupNowArguments& arguments, JobRequest* request) {
  const std::string kind = arguments.kind == nullptr ? "auto" : arguments.kind;
  if (kind != "auto" && kind != "full" && kind != "incremental") {
    throw Error(ErrorCode::kInvalidArgument, "invalid kind of backup: \"" + kind + "\"", {},
                "Kinds are 'auto', 'full' and 'incremental'.");
  }
  if (arguments.include_media) {
    throw Error(ErrorCode::kUnsupportedFormat,
                "media directories are not supported by this version", {},
                "Leave include_media out.");
  }
  (void)RequireRepository(CurrentSettings());
  request->kind = JobKind::kBackup;
  CopyArgument(NewBackupId(Now()), "backup id", request->backup_id);
  CopyArgument(NewJobId(Now()), "job id", request->job_id);
  CopyArgument("manual", "trigger", request->trigger);
  CopyArgument(kind, "kind", request->backup_kind);
  if (arguments.label != nullptr) {
    CopyArgument(FromServerText(arguments.label), "label", request->label);
  }
  request->fast_checkpoint = true;
}

SqlValue PinnedUntil(const BackupNotes& notes) {
  // One that cannot be read keeps its backup as one without end does.
  if (notes.unreadable_pin) return SqlTime{kPinnedForEver};
  return notes.pin ? TimeOrNull(notes.pin->pinned_until) : SqlNull{};
}

SqlRow ListRow(const BackupRecord& record, const BackupOutlook& outlook) {
  const std::optional<VerifyNote>& verify = outlook.notes.verify;
  const std::optional<Microseconds>& expires_at = outlook.decision.expires_at;
  return {record.backup_id,
          TextOrNull(record.label),
          record.kind,
          record.trigger,
          record.state,
          TimeOrNull(record.started_at),
          TimeOrNull(record.finished_at),
          SqlInterval{record.finished_at - record.started_at},
          static_cast<int64_t>(record.database_bytes),
          static_cast<int64_t>(record.media_bytes),
          static_cast<int64_t>(record.stored_bytes),
          SqlLsn{record.start_lsn},
          SqlLsn{record.stop_lsn},
          static_cast<int32_t>(record.timeline),
          record.server_version,
          PinnedUntil(outlook.notes),
          expires_at ? SqlValue(SqlTime{*expires_at}) : SqlValue(SqlNull{}),
          outlook.decision.keep ? SqlValue(outlook.decision.because) : SqlValue(SqlNull{}),
          verify ? TimeOrNull(verify->made_at) : SqlNull{},
          TextOrNull(VerifyVerdict(outlook.notes)),
          TextOrNull(record.error),
          TextOrNull(record.parent_reason)};
}

SqlRow UnreadableRow(const UnreadableRecord& record) {
  SqlRow row(22, SqlNull{});
  row[0] = record.backup_id;
  row[4] = std::string("unreadable");
  row[20] = record.problem;
  return row;
}

void ListBackups(FunctionCallInfo call) {
  const Settings settings = CurrentSettings();
  ResultSet rows(call);
  Catalog catalog;
  std::vector<BackupOutlook> outlooks;
  try {
    (void)RequireRepository(settings);
    const Repository repository = OpenOwnRepository();
    catalog = ReadCatalog(repository);
    outlooks = JudgeBackups(repository, catalog, settings.retention);
  } catch (const Error& error) {
    // Set, but no backup was taken yet: the first one makes the repository.
    if (error.code() != ErrorCode::kNoRepository) throw;
    ThrowIfRepositoryIsMissed(settings.repository);
  }
  for (size_t i = 0; i < outlooks.size(); i++) rows.Add(ListRow(catalog.backups[i], outlooks[i]));
  for (const UnreadableRecord& record : catalog.unreadable) rows.Add(UnreadableRow(record));
}

// A copy of what one job tells. Plain data but for the texts.
struct JobView {
  std::string job_id;
  int pid = 0;
  std::string operation;
  std::string backup_id;
  Phase phase = Phase::kStarting;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t files_done = 0;
  uint64_t files_total = 0;
  Microseconds started_at = 0;
  bool slowed_by_max_rate = false;
};

bool ViewJob(int index, JobView* view) {
  SharedState* const shared = GetSharedState();
  const JobSlot* const slot = &shared->jobs[index];
  JobRequest request;
  bool live = false;
  TimestampTz started_at = 0;
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_SHARED);
    live = IsLive(*slot);
    request = slot->request;
    view->pid = slot->worker_pid;
    started_at = slot->started_at;
    LWLockRelease(shared->lock);
  });
  if (!live) return false;
  view->job_id = request.job_id;
  view->operation = OperationName(request.kind);
  view->backup_id = request.backup_id;
  view->phase = slot->progress.phase;
  view->bytes_done = slot->progress.bytes_done;
  view->bytes_total = slot->progress.bytes_total;
  view->files_done = slot->progress.files_done;
  view->files_total = slot->progress.files_total;
  view->started_at = FromTimestamp(started_at);
  view->slowed_by_max_rate = request.kind == JobKind::kBackup && view->phase == Phase::kCopying &&
                             CurrentSettings().max_bytes_per_second > 0;
  return true;
}

SqlRow ProgressRow(const JobView& job) {
  const Microseconds now = Now();
  const double seconds = static_cast<double>(now - job.started_at) / kMicrosecondsPerSecond;
  const double rate = seconds > 0 ? static_cast<double>(job.bytes_done) / seconds : 0;
  SqlRow row = {
      job.job_id,
      job.pid == 0 ? SqlValue(SqlNull{}) : SqlValue(job.pid),
      job.operation,
      job.backup_id,
      std::string(PhaseName(job.phase)),
      static_cast<int64_t>(job.bytes_done),
      job.bytes_total == 0 ? SqlValue(SqlNull{}) : SqlValue(static_cast<int64_t>(job.bytes_total)),
      static_cast<int64_t>(job.files_done),
      job.files_total == 0 ? SqlValue(SqlNull{}) : SqlValue(static_cast<int64_t>(job.files_total)),
      SqlNull{},
      static_cast<int64_t>(rate),
      TimeOrNull(job.started_at),
      SqlNull{},
      SqlNull{}};
  if (job.bytes_total > 0) {
    const double part = static_cast<double>(job.bytes_done) / static_cast<double>(job.bytes_total);
    row[9] = std::min(100.0, 100.0 * part);
    if (rate > 0 && job.bytes_total >= job.bytes_done) {
      const double left = static_cast<double>(job.bytes_total - job.bytes_done) / rate;
      row[12] = SqlTime{now + static_cast<Microseconds>(left * kMicrosecondsPerSecond)};
    }
  }
  if (job.slowed_by_max_rate) row[13] = std::string("max_rate");
  return row;
}

void ListProgress(FunctionCallInfo call) {
  ResultSet rows(call);
  for (int i = 0; i < kMaxJobs; i++) {
    JobView job;
    if (ViewJob(i, &job)) rows.Add(ProgressRow(job));
  }
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_now);
PG_FUNCTION_INFO_V1(backup_ext_backup_cancel);
PG_FUNCTION_INFO_V1(backup_ext_backup_list);
PG_FUNCTION_INFO_V1(backup_ext_backup_progress);

Datum backup_ext_backup_now(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  BackupNowArguments arguments;
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  RequirePreloaded();
  arguments.label = TextArgument(fcinfo, 0);
  arguments.kind = TextArgument(fcinfo, 1);
  arguments.include_media = BoolArgument(fcinfo, 2, false);
  const bool wait = BoolArgument(fcinfo, 3, true);
  Enter([&] { FillBackupRequest(arguments, &request); });

  const StartedJob job = StartJob(&request, wait ? Waiting::kCallerWaits : Waiting::kNobodyWaits);
  if (wait) WaitForJob(&job);
  PG_RETURN_TEXT_P(cstring_to_text(request.backup_id));
}

Datum backup_ext_backup_cancel(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const job_id = TextArgument(fcinfo, 0);
  if (job_id == nullptr) PG_RETURN_NULL();
  PG_RETURN_BOOL(CancelJob(job_id));
}

Datum backup_ext_backup_list(PG_FUNCTION_ARGS) {
  backup_ext::RequirePreloaded();
  backup_ext::Enter([fcinfo] { backup_ext::ListBackups(fcinfo); });
  return 0;
}

Datum backup_ext_backup_progress(PG_FUNCTION_ARGS) {
  backup_ext::RequirePreloaded();
  backup_ext::Enter([fcinfo] { backup_ext::ListProgress(fcinfo); });
  return 0;
}

}  // extern "C"
