// SQL: backup_now, backup_cancel, backup_list.
#include <cstring>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "expire/expiry.h"
#include "format/names.h"
#include "store/catalog.h"

#include "backup_arguments.h"
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
  CheckBackupArguments(kind, arguments.include_media);
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
  request->include_media = arguments.include_media;
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

}  // namespace

void CheckBackupArguments(const std::string& kind, bool include_media) {
  if (kind != "auto" && kind != "full" && kind != "incremental") {
    throw Error(ErrorCode::kInvalidArgument, "invalid kind of backup: \"" + kind + "\"", {},
                "Kinds are 'auto', 'full' and 'incremental'.");
  }
  if (include_media) {
    if (CurrentMediaSettings().directories.empty()) {
      throw Error(ErrorCode::kNotInPrerequisiteState, "no media directories are set", {},
                  "Set them with ALTER SYSTEM SET backup_ext.media_directories = "
                  "'/srv/app/uploads', then SELECT pg_reload_conf().");
    }
  }
}

}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_now);
PG_FUNCTION_INFO_V1(backup_ext_backup_cancel);
PG_FUNCTION_INFO_V1(backup_ext_backup_list);

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

}  // extern "C"
