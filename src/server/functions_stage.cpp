// SQL: backup_stage_restore, backup_staged, backup_discard_stage.
#include <cstring>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "format/names.h"
#include "restore/stage.h"

#include "boundary.h"
#include "function_arguments.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "result_set.h"
#include "settings.h"
#include "target_directory.h"

namespace backup_ext {
namespace {

struct StageArguments {
  const char* backup_id;
  const char* directory;
  bool has_target;
  bool include_media;
  bool safety_backup;
  bool has_tablespace_map;
  bool superuser;
};

void RefuseWhatIsNotThereYet(const StageArguments& arguments) {
  const char* missing = nullptr;
  if (arguments.has_target) missing = "restoring to a point in time";
  if (arguments.include_media) missing = "restoring media directories";
  if (arguments.has_tablespace_map) missing = "a tablespace map";
  if (missing == nullptr) return;
  throw Error(ErrorCode::kUnsupportedFormat,
              std::string(missing) + " is not supported by this version", {},
              "Nothing was restored. Leave the argument out.");
}

std::string StageDirectory(const StageArguments& arguments) {
  if (arguments.directory == nullptr) return {};
  return TargetDirectory(arguments.directory, arguments.superuser, "restore into");
}

void FillStageRequest(const StageArguments& arguments, JobRequest* request) {
  RefuseWhatIsNotThereYet(arguments);
  const std::string backup_id = BackupIdArgument(arguments.backup_id);
  (void)RequireRepository(CurrentSettings());
  const Microseconds now = Now();
  request->kind = JobKind::kStage;
  CopyArgument(backup_id, "backup id", request->backup_id);
  CopyArgument(NewStageId(now), "stage id", request->stage_id);
  CopyArgument(NewJobId(now), "job id", request->job_id);
  CopyArgument("manual", "trigger", request->trigger);
  CopyArgument(StageDirectory(arguments), "directory", request->directory);
  if (arguments.safety_backup) {
    CopyArgument(NewBackupId(now), "backup id", request->safety_backup_id);
  }
  request->fast_checkpoint = true;
}

void ListStaged(FunctionCallInfo call) {
  ResultSet rows(call);
  for (const Stage& stage : ListStages(StagingDirectory(CurrentSettings()))) {
    rows.Add({stage.stage_id, stage.directory, TextOrNull(stage.backup_id),
              TextOrNull(stage.target), stage.state, TimeOrNull(stage.staged_at),
              static_cast<int64_t>(stage.bytes), TextOrNull(stage.safety_backup_id),
              TextOrNull(stage.start_command), TextOrNull(stage.activate_command)});
  }
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_stage_restore);
PG_FUNCTION_INFO_V1(backup_ext_backup_staged);
PG_FUNCTION_INFO_V1(backup_ext_backup_discard_stage);

// backup_id, directory, target_time, target_lsn, target_xid, target_name, target_timeline,
// include_media, safety_backup, tablespace_map, wait
Datum backup_ext_backup_stage_restore(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  StageArguments arguments;
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  RequirePreloaded();
  arguments.backup_id = TextArgument(fcinfo, 0);
  arguments.directory = TextArgument(fcinfo, 1);
  arguments.has_target = !PG_ARGISNULL(2) || !PG_ARGISNULL(3) || !PG_ARGISNULL(4) ||
                         !PG_ARGISNULL(5) || !PG_ARGISNULL(6);
  arguments.include_media = BoolArgument(fcinfo, 7, false);
  arguments.safety_backup = BoolArgument(fcinfo, 8, true);
  arguments.has_tablespace_map = !PG_ARGISNULL(9);
  arguments.superuser = superuser();
  const bool wait = BoolArgument(fcinfo, 10, true);
  Enter([&] { FillStageRequest(arguments, &request); });

  const StartedJob job = StartJob(&request, wait ? Waiting::kCallerWaits : Waiting::kNobodyWaits);
  if (wait) WaitForJob(&job);
  PG_RETURN_TEXT_P(cstring_to_text(request.stage_id));
}

Datum backup_ext_backup_staged(PG_FUNCTION_ARGS) {
  backup_ext::RequirePreloaded();
  backup_ext::Enter([fcinfo] { backup_ext::ListStaged(fcinfo); });
  return 0;
}

Datum backup_ext_backup_discard_stage(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  RequirePreloaded();
  const char* const stage_id = TextArgument(fcinfo, 0);
  if (stage_id == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("stage id must not be null")));
  }
  Enter([stage_id] { DiscardStage(StagingDirectory(CurrentSettings()), stage_id); });
  PG_RETURN_VOID();
}

}  // extern "C"
