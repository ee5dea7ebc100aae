// SQL: backup_stage_restore, backup_staged, backup_discard_stage.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "restore/stage.h"
#include "restore/tablespace_mapping.h"

#include "boundary.h"
#include "function_arguments.h"
#include "guard.h"
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
  const char* tablespace_map;  // JSON
  bool superuser;
};

void RefuseWhatIsNotThereYet(const StageArguments& arguments) {
  if (!arguments.has_target) return;
  throw Error(ErrorCode::kUnsupportedFormat,
              "restoring to a point in time is not supported by this version", {},
              "Nothing was restored. Leave the argument out.");
}

std::string StageDirectory(const StageArguments& arguments) {
  if (arguments.directory == nullptr) return {};
  return TargetDirectory(arguments.directory, arguments.superuser, "restore into");
}

// Names become oids: a name is of this moment, the backup knows oids and directories.
std::string ResolveNames(const StageArguments& arguments) {
  if (!arguments.superuser) {
    throw Error(ErrorCode::kPermissionDenied, "permission denied to give a tablespace map",
                "Only a superuser may name a path.",
                "Leave the argument out: the tablespaces then lie beside the stage.");
  }
  const auto map = nlohmann::json::parse(arguments.tablespace_map, nullptr, false);
  if (!map.is_object()) return arguments.tablespace_map;  // the parser says what is wrong
  nlohmann::json resolved = nlohmann::json::object();
  for (const auto& [key, place] : map.items()) {
    std::string name = key;
    const bool is_name = !name.empty() && name[0] != '/' &&
                         name.find_first_not_of("0123456789") != std::string::npos;
    if (is_name) {
      Oid oid = InvalidOid;
      const char* const text = name.c_str();
      CallPostgres([&] { oid = get_tablespace_oid(text, true); });
      if (oid == InvalidOid) {
        throw Error(ErrorCode::kNotFound, "tablespace \"" + name + "\" does not exist", {},
                    "One that is gone by now is named by its oid or its directory.");
      }
      name = std::to_string(oid);
    }
    resolved[name] = place;
  }
  return resolved.dump();
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
  if (arguments.tablespace_map != nullptr) {
    const std::string map = ResolveNames(arguments);
    (void)ParseTablespaceMap(map);
    CopyArgument(map, "tablespace map", request->tablespace_map);
  }
  if (arguments.safety_backup) {
    CopyArgument(NewBackupId(now), "backup id", request->safety_backup_id);
  }
  request->fast_checkpoint = true;
  request->include_media = arguments.include_media;
}

std::string SqlLiteral(const std::string& text) {
  std::string literal = "'";
  for (const char c : text) literal += c == '\'' ? std::string("''") : std::string(1, c);
  return literal + "'";
}

// What can be done about a stage that is not as it should be; empty where nothing need be done.
std::string HintFor(const Stage& stage, const std::string& staging) {
  if (stage.state != "failed") return {};
  const std::string discard = "SELECT backup_discard_stage('" + stage.stage_id + "')";
  if (stage.directory.empty() || stage.backup_id.empty()) return "Remove it with " + discard + ".";
  const std::string directory =
      ParentDirectory(stage.directory) == staging ? BaseName(stage.directory) : stage.directory;
  std::string arguments = "'" + stage.backup_id + "', directory => " + SqlLiteral(directory);
  if (stage.include_media) arguments += ", include_media => true";
  if (!stage.tablespace_map.empty()) {
    arguments += ", tablespace_map => " + SqlLiteral(stage.tablespace_map);
  }
  return "Continue it with SELECT backup_stage_restore(" + arguments + "), or remove it with " +
         discard + ".";
}

constexpr size_t kCommandsRoom = 4096;

// What the caller does next.
std::string CommandsOf(const Stage& stage) {
  std::string text =
      fmt::format("To look at it: {}\nTo make it the server, once that is stopped: {}",
                  stage.start_command, stage.activate_command);
  if (!stage.safety_backup_id.empty()) {
    text += fmt::format("\nHow things were before is in backup {}.", stage.safety_backup_id);
  }
  return text;
}

void TellOfStage(const char* stage_id) {
  char commands[kCommandsRoom] = {};
  Enter([&] {
    const Stage stage = FindStage(StagingDirectory(CurrentSettings()), stage_id);
    const std::string text = CommandsOf(stage);
    std::memcpy(commands, text.data(), std::min(text.size(), sizeof(commands) - 1));
  });
  ereport(NOTICE, (errmsg("stage %s is ready", stage_id), errdetail_internal("%s", commands)));
}

void ListStaged(FunctionCallInfo call) {
  ResultSet rows(call);
  const std::string staging = StagingDirectory(CurrentSettings());
  for (const Stage& stage : ListStages(staging)) {
    rows.Add({stage.stage_id, stage.directory, TextOrNull(stage.backup_id),
              TextOrNull(stage.target), stage.state, TimeOrNull(stage.staged_at),
              static_cast<int64_t>(stage.bytes), TextOrNull(stage.safety_backup_id),
              TextOrNull(stage.start_command), TextOrNull(stage.activate_command),
              TextOrNull(HintFor(stage, staging))});
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
  StageArguments arguments = {};
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  RequirePreloaded();
  arguments.backup_id = TextArgument(fcinfo, 0);
  arguments.directory = TextArgument(fcinfo, 1);
  arguments.has_target = !PG_ARGISNULL(2) || !PG_ARGISNULL(3) || !PG_ARGISNULL(4) ||
                         !PG_ARGISNULL(5) || !PG_ARGISNULL(6);
  arguments.include_media = BoolArgument(fcinfo, 7, false);
  arguments.safety_backup = BoolArgument(fcinfo, 8, true);
  if (!PG_ARGISNULL(9)) {
    Jsonb* const map = PG_GETARG_JSONB_P(9);
    arguments.tablespace_map = JsonbToCString(nullptr, &map->root, VARSIZE(map));
  }
  arguments.superuser = superuser();
  const bool wait = BoolArgument(fcinfo, 10, true);
  Enter([&] { FillStageRequest(arguments, &request); });

  const StartedJob job = StartJob(&request, wait ? Waiting::kCallerWaits : Waiting::kNobodyWaits);
  if (wait) {
    WaitForJob(&job);
    TellOfStage(request.stage_id);
  }
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
