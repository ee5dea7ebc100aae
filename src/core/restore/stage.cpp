// The stages that exist: one small JSON file each in the staging directory.
#include "restore/stage.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "restore/directory_content.h"
#include "restore/path_text.h"
#include "restore/running_server.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

constexpr size_t kDescriptionLimitBytes = 1024 * 1024;
constexpr std::string_view kSuffix = ".json";

std::string DescriptionPath(const std::string& staging_directory, std::string_view stage_id) {
  return fmt::format("{}/{}{}", staging_directory, stage_id, kSuffix);
}

std::string EncodeStage(const Stage& stage) {
  const nlohmann::json json = {{"stage_id", stage.stage_id},
                               {"directory", PathToText(stage.directory)},
                               {"backup_id", stage.backup_id},
                               {"target", stage.target},
                               {"state", stage.state},
                               {"staged_at", FormatTime(stage.staged_at)},
                               {"bytes", stage.bytes},
                               {"safety_backup_id", stage.safety_backup_id},
                               {"start_command", PathToText(stage.start_command)},
                               {"activate_command", PathToText(stage.activate_command)},
                               {"include_media", stage.include_media},
                               {"tablespace_map", PathToText(stage.tablespace_map)},
                               {"builder_pid", stage.builder_pid},
                               {"builder_started_at", stage.builder_started_at}};
  return json.dump(2) + "\n";
}

// Throws nlohmann::json::exception or Error for a text that is no description.
Stage DecodeStage(std::string_view text) {
  const auto json = nlohmann::json::parse(text);
  Stage stage;
  stage.stage_id = json.at("stage_id");
  stage.directory = PathFromText(json.at("directory").get<std::string>());
  stage.backup_id = json.at("backup_id");
  stage.target = json.at("target");
  stage.state = json.at("state");
  stage.staged_at = ParseTime(json.at("staged_at").get<std::string>());
  stage.bytes = json.at("bytes");
  stage.safety_backup_id = json.at("safety_backup_id");
  stage.start_command = PathFromText(json.at("start_command").get<std::string>());
  stage.activate_command = PathFromText(json.at("activate_command").get<std::string>());
  stage.include_media = json.value("include_media", false);
  stage.tablespace_map = PathFromText(json.value("tablespace_map", std::string()));
  stage.builder_pid = json.at("builder_pid");
  stage.builder_started_at = json.at("builder_started_at");
  return stage;
}

bool BuilderLives(const Stage& stage) {
  return stage.builder_pid > 0 && !stage.builder_started_at.empty() &&
         ProcessStartTime(stage.builder_pid) == stage.builder_started_at;
}

// The directory was restored into once more.
bool WasReplaced(const Stage& stage) {
  const auto marker = ReadStageMarker(stage.directory);
  return marker && marker->role == StageRole::kStaged && marker->directory == stage.directory &&
         marker->stage_id != stage.stage_id;
}

// Once it has become the server, its place holds what it replaced.
std::string StateOfReady(const Stage& stage) {
  if (!StatLink(stage.directory) || WasReplaced(stage)) return "missing";
  const auto marker = ReadStageMarker(stage.directory);
  return marker && marker->role == StageRole::kReplaced ? "activated" : "ready";
}

// Nothing when the file is not there. One that cannot be read is a failed stage of that id.
std::optional<Stage> ReadStage(const std::string& staging_directory, const std::string& stage_id) {
  const std::string path = DescriptionPath(staging_directory, stage_id);
  if (!StatLink(path)) return std::nullopt;
  Stage stage;
  try {
    stage = DecodeStage(AsText(ReadWholeFile(path, kDescriptionLimitBytes)));
  } catch (const nlohmann::json::exception&) {
    stage = {};
    stage.state = "failed";
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) return std::nullopt;
    stage = {};
    stage.state = "failed";
  }
  stage.stage_id = stage_id;
  if (stage.state == "building" && !BuilderLives(stage)) stage.state = "failed";
  if (stage.state == "ready") stage.state = StateOfReady(stage);
  return stage;
}

// Somebody who makes the stage a server may move its directory; the links in it still lead to the
// tablespaces. A discard that was interrupted never leaves this: it removes the tablespaces first.
void CheckNotMoved(const std::string& directory, std::string_view stage_id) {
  const std::string tablespaces = TablespacesDirectory(directory);
  if (!StatLink(tablespaces)) return;
  const bool is_empty = HoldsOnlyDirectories(directory) && !HoldsOnlyDirectories(tablespaces);
  if (StatLink(directory) && !is_empty) return;
  throw Error(
      ErrorCode::kNotInPrerequisiteState,
      fmt::format("cannot discard stage {}: its directory \"{}\" was moved", stage_id, directory),
      fmt::format("What was moved may still use the tablespaces in \"{}\".", tablespaces),
      "Remove them by hand when no server uses them, then discard the stage.");
}

// The one to be discarded.
struct DiscardedStage {
  std::string stage_id;
  std::string directory;
  std::optional<StageMarker> marker;  // in its directory
};

// Does what carries `marker` belong to the stage? Of a restore onto an earlier stage that died, the
// directories beside it may still carry the marker of the earlier one.
bool BelongsTo(const StageMarker& marker, const std::string& directory,
               const DiscardedStage& stage) {
  if (marker.stage_id == stage.stage_id) return true;
  return directory != stage.directory && stage.marker && stage.marker->stage_id == stage.stage_id &&
         stage.marker->role == StageRole::kStaged &&
         IsPartOfStage(marker, *stage.marker, stage.directory);
}

// Is this top directory of the stage, if it is there, one that may be removed?
void CheckMarkedTree(const std::string& directory, const DiscardedStage& stage) {
  const auto status = StatLink(directory);
  if (!status || HoldsOnlyDirectories(directory)) return;
  if (!S_ISDIR(status->st_mode)) {
    throw Error(ErrorCode::kNotInPrerequisiteState,
                fmt::format("\"{}\" is not a directory", directory));
  }
  const auto marker = ReadStageMarker(directory);
  if (marker && BelongsTo(*marker, directory, stage)) return;
  throw Error(ErrorCode::kNotInPrerequisiteState,
              fmt::format("directory \"{}\" does not carry the marker of stage {}", directory,
                          stage.stage_id),
              "", "Remove it by hand when you are sure that nothing in it is needed.");
}

// The marker goes last: what is left after a crash is still known as this stage's.
void RemoveMarkedTree(const std::string& directory, const DiscardedStage& stage) {
  CheckMarkedTree(directory, stage);
  if (!StatLink(directory)) return;
  RemoveContent(directory, kStageFolder);
  RemoveTree(directory);
  SyncDirectory(ParentDirectory(directory));
}

// Where the stage's media are. Those of one that has become the server, or is gone and may have,
// may be in use by now: they are left.
std::vector<std::string> MediaOfStage(const DiscardedStage& stage, const std::string& state) {
  const auto& marker = stage.marker;
  if (state == "activated" || (marker && marker->role == StageRole::kReplaced)) return {};
  std::vector<std::string> media;
  if (marker) media = marker->earlier_media;
  if (marker && !marker->media_directory.empty()) media.push_back(marker->media_directory);
  // Its builder died before the stage's marker named it.
  const std::string usual = MediaDirectory(stage.directory);
  if (HoldsOnlyStageFolder(usual)) media.push_back(usual);
  return media;
}

void EmptyMarkedTree(const std::string& directory, const DiscardedStage& stage) {
  CheckMarkedTree(directory, stage);
  if (!StatLink(directory)) return;
  EmptyStageTop(directory, [] {});
}

void RemoveDescription(const std::string& staging_directory, std::string_view stage_id) {
  RemoveFile(DescriptionPath(staging_directory, stage_id));
  SyncDirectory(staging_directory);
}

}  // namespace

std::string ProcessStartTime(int64_t pid) {
  try {
    const Bytes content = ReadWholeFile(fmt::format("/proc/{}/stat", pid), 64 * 1024);
    std::string_view rest = AsText(content);
    // The second field, the name in parentheses, may itself hold blanks and parentheses.
    rest.remove_prefix(std::min(rest.rfind(')'), rest.size()));
    for (int field = 2; field < 22; ++field) {
      rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
    }
    return std::string(rest.substr(0, rest.find(' ')));
  } catch (const Error&) {
    return {};
  }
}

void WriteStage(const std::string& staging_directory, const Stage& stage) {
  if (!IsStageId(stage.stage_id)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is not the id of a stage", stage.stage_id));
  }
  MakeDirectory(staging_directory, 0700);
  WriteFileDurably(DescriptionPath(staging_directory, stage.stage_id), AsBytes(EncodeStage(stage)));
}

std::vector<Stage> ListStages(const std::string& staging_directory) {
  std::vector<Stage> stages;
  const auto entries = ReadDirectory(staging_directory);
  if (!entries) return stages;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name.size() <= kSuffix.size()) continue;
    const std::string stage_id = entry.name.substr(0, entry.name.size() - kSuffix.size());
    if (stage_id + std::string(kSuffix) != entry.name || !IsStageId(stage_id)) continue;
    if (auto stage = ReadStage(staging_directory, stage_id)) stages.push_back(std::move(*stage));
  }
  std::stable_sort(stages.begin(), stages.end(), [](const Stage& a, const Stage& b) {
    return a.stage_id > b.stage_id;  // ids sort as time does
  });
  return stages;
}

void ForgetReplacedStages(const std::string& staging_directory, const Stage& stage) {
  for (const Stage& other : ListStages(staging_directory)) {
    if (other.stage_id == stage.stage_id || other.state == "building") continue;
    if (other.directory == stage.directory && WasReplaced(other)) {
      RemoveDescription(staging_directory, other.stage_id);
    }
  }
}

Stage FindStage(const std::string& staging_directory, std::string_view stage_id) {
  if (!IsStageId(stage_id)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is not the id of a stage", stage_id), "",
                "See backup_staged() for the stages that exist.");
  }
  auto stage = ReadStage(staging_directory, std::string(stage_id));
  if (!stage) {
    throw Error(ErrorCode::kNotFound, fmt::format("stage {} does not exist", stage_id), "",
                "See backup_staged() for the stages that exist.");
  }
  return *stage;
}

void DiscardStage(const std::string& staging_directory, std::string_view stage_id) {
  const Stage stage = FindStage(staging_directory, stage_id);
  if (stage.state == "building") {
    throw Error(ErrorCode::kNotInPrerequisiteState,
                fmt::format("stage {} is still being built", stage_id),
                fmt::format("Process {} is at work on it.", stage.builder_pid),
                "Cancel its job first, with backup_cancel().");
  }
  // A description that cannot be read names no directory: then the stage is where stages are.
  const std::string directory =
      CleanDirectoryPath(stage.directory.empty() ? fmt::format("{}/{}", staging_directory, stage_id)
                                                 : stage.directory);
  if (WasReplaced(stage)) {
    RemoveDescription(staging_directory, stage_id);
    return;
  }
  CheckNotRunning(directory, fmt::format("discard stage {}", stage_id));
  CheckNotMoved(directory, stage_id);
  const DiscardedStage discarded = {std::string(stage_id), directory, ReadStageMarker(directory)};
  const auto& marker = discarded.marker;
  const std::string tablespaces = TablespacesDirectory(directory);
  std::vector<std::string> placed = marker ? marker->tablespaces : std::vector<std::string>();
  std::ranges::move(MediaOfStage(discarded, stage.state), std::back_inserter(placed));
  // All before the first is touched: a discard that is refused removes nothing.
  CheckMarkedTree(directory, discarded);
  CheckMarkedTree(tablespaces, discarded);
  for (const std::string& place : placed) CheckMarkedTree(place, discarded);
  for (const std::string& place : placed) EmptyMarkedTree(place, discarded);
  RemoveMarkedTree(tablespaces, discarded);
  // Only the name that this stage itself would have made in /tmp is ever removed there.
  const std::string short_socket = ShortSocketDirectory(discarded.stage_id);
  if (marker && marker->socket_directory == short_socket) RemoveTree(short_socket);
  RemoveMarkedTree(directory, discarded);
  RemoveDescription(staging_directory, stage_id);
}

}  // namespace backup_ext
