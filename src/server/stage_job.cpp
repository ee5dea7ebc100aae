// A staged restore, seen from the server.
#include "stage_job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "restore/restore_run.h"
#include "restore/shell_quote.h"
#include "restore/stage.h"
#include "restore/stage_marker.h"
#include "restore/target_place.h"
#include "store/catalog.h"
#include "store/hold.h"
#include "store/repository.h"

#include "backup_job.h"
#include "cluster_state.h"
#include "guard.h"
#include "media_job.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "server_facts.h"
#include "settings.h"
#include "target_directory.h"

namespace backup_ext {
namespace {

// A backup of how things are now, so that the way back is open too.
void TakeSafetyBackup(const JobRequest& request, JobSlot* slot) {
  try {
    RunBackup({.backup_id = request.safety_backup_id,
               .label = std::string("before restore ") + request.stage_id,
               .trigger = "safety",
               .kind = "auto",
               .fast_checkpoint = true},
              slot);
  } catch (const Error& error) {
    if (error.is_cancel()) throw;
    Error explained(error.code(), "could not take the safety backup: " + error.message(),
                    error.detail(),
                    "Nothing was restored. Mend the cause, or call backup_stage_restore() with "
                    "safety_backup => false.");
    explained.set_sql_state(error.sql_state());
    throw explained;
  }
}

std::string BinDirectory() { return ParentDirectory(my_exec_path); }

// For the time when the server is stopped.
std::string ActivateCommand(const std::string& directory) {
  return fmt::format("{} activate {} --pgdata {}", ShellQuote(BinDirectory() + "/backup_ext"),
                     ShellQuote(directory), ShellQuote(ResolvePath(DataDir)));
}

Stage DescribeStage(const JobRequest& request, const BackupRecord& record,
                    const std::string& directory) {
  Stage stage;
  stage.stage_id = request.stage_id;
  stage.directory = directory;
  stage.backup_id = record.backup_id;
  stage.target = request.backup_id;
  stage.state = "building";
  stage.staged_at = Now();
  stage.safety_backup_id = request.safety_backup_id;
  stage.include_media = request.include_media;
  stage.tablespace_map = request.tablespace_map;
  return stage;
}

// The description of it as one that is being built is there: whatever happens here, the stage is
// listed, as ready or as failed, and can be discarded.
void DescribeAsReady(const std::string& staging, const Stage& stage) {
  try {
    WriteStage(staging, stage);
  } catch (const Error& error) {
    throw Error(
        error.code(),
        fmt::format("could not list stage \"{}\" as ready: {}", stage.stage_id, error.message()),
        fmt::format("The copy in \"{}\" is whole.", stage.directory),
        fmt::format("Remove it with SELECT backup_discard_stage('{}'), and restore again.",
                    stage.stage_id));
  }
}

// A run that ended early has removed what it made, but leaves an earlier stage that it began to
// change.
void ForgetOrFail(const std::string& staging, Stage* stage) {
  const auto marker = ReadStageMarker(stage->directory);
  if (marker && marker->stage_id == stage->stage_id) {
    stage->state = "failed";
    WriteStage(staging, *stage);
    ForgetReplacedStages(staging, *stage);
  } else {
    RemoveFile(JoinPath(staging, stage->stage_id + ".json"));
  }
}

void TellOfMediaLeftOut(const BackupRecord& record, const JobRequest& request, JobSlot* slot) {
  if (!HasMedia(record) || request.include_media) return;
  TellCaller(slot, fmt::format("backup {} holds {} bytes of media, which are not restored; give "
                               "include_media => true for them",
                               record.backup_id, record.media_bytes));
}

void TellOfMedia(const StageResult& result, JobSlot* slot) {
  for (const std::string& place : result.removed_media) {
    TellCaller(slot, fmt::format("the media of the earlier stage, in \"{}\", were removed", place));
  }
  if (result.media_directory.empty()) return;
  const std::string losses = DescribeLosses(result.media);
  TellCaller(slot, fmt::format("the media are in \"{}\", one directory for each of the backup's "
                               "media directories, in their order{}{}",
                               result.media_directory, losses.empty() ? "" : "; ", losses));
}

}  // namespace

Repository OpenOwnRepository() {
  const Settings settings = CurrentSettings();
  Repository repository = Repository::Open(RequireRepository(settings));
  uint64_t system_identifier = 0;
  CallPostgres([&] { system_identifier = GetSystemIdentifier(); });
  repository.CheckOwner(system_identifier);
  return repository;
}

Repository OpenOwnRepositoryToWrite() {
  Repository repository = OpenOwnRepository();
  RequireOwner(repository);
  return repository;
}

void RunStage(const JobRequest& request, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  slot->progress.Enter(Phase::kChecking);
  const Repository repository = OpenOwnRepository();
  // Before the safety backup: "latest" is the newest backup of now, not the one that is about to
  // be.
  const BackupRecord record = FindBackup(repository, request.backup_id);
  // The retention after the safety backup must not take it away.
  const BackupHold hold = BackupHold::Take(repository, record.backup_id);
  const std::string staging = StagingDirectory(settings);
  const std::string directory = request.directory[0] != '\0' ? std::string(request.directory)
                                                             : JoinPath(staging, request.stage_id);
  MakeDirectory(staging, 0700);
  const StageOptions options = {
      .stage_id = request.stage_id,
      .directory = directory,
      .mapping = request.tablespace_map[0] == '\0' ? TablespaceMapping()
                                                   : ParseTablespaceMap(request.tablespace_map),
      .media = request.include_media ? MediaChoice::kInclude : MediaChoice::kLeaveOut,
      .media_directory = {},
      .threads = WorkerThreads(settings),
      .forbidden = ForbiddenDirectories(settings),
      .bin_directory = BinDirectory(),
      .port = PostPortNumber};
  TellOfMediaLeftOut(record, request, slot);
  if (request.safety_backup_id[0] != '\0') {
    CheckStage(repository, record, options, [&] { PausePoint(*slot); });
    TakeSafetyBackup(request, slot);
    slot->progress.bytes_done = 0;
    slot->progress.bytes_total = 0;
    slot->progress.files_done = 0;
    slot->progress.files_total = 0;
  }

  Stage stage = DescribeStage(request, record, CleanDirectoryPath(directory));
  stage.builder_pid = MyProcPid;
  stage.builder_started_at = ProcessStartTime(MyProcPid);
  WriteStage(staging, stage);
  ScopeExit forget([&] { ForgetOrFail(staging, &stage); });

  const StageResult result =
      RestoreToStage(repository, record, options, &slot->progress, [&] { PausePoint(*slot); });

  slot->figures.database_bytes = result.bytes;
  TellOfMedia(result, slot);
  stage.state = "ready";
  stage.bytes = result.bytes;
  stage.start_command = result.start_command;
  stage.activate_command = ActivateCommand(directory);
  stage.staged_at = Now();
  forget.Release();
  DescribeAsReady(staging, stage);
  ForgetReplacedStages(staging, stage);
  slot->progress.Enter(Phase::kFinished);
}

}  // namespace backup_ext
