// The stage that a directory holds already: what is right in it need not be written again.
#include "restore/earlier_stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "cluster/control_file.h"
#include "restore/activated_tree.h"
#include "restore/directory_content.h"
#include "restore/running_server.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

constexpr uint64_t kStatBlockBytes = 512;  // Source: stat(2), st_blocks
// What an activation leaves in the stage's folder while it is at work, and afterwards.
constexpr std::array<std::string_view, 3> kActivationFiles = {"activated.json", "next.auto.conf",
                                                              "guarded.auto.conf"};

Error Refusal(ErrorCode code, const std::string& directory, std::string detail) {
  return Error(code, fmt::format("cannot restore into directory \"{}\"", directory),
               std::move(detail), "Name a directory that is empty or does not exist.");
}

void CheckNobodyFills(const std::string& directory) {
  const auto folder = OpenFileIfExists(fmt::format("{}/{}", directory, kStageFolder),
                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (folder && flock(folder->get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw Error(ErrorCode::kAlreadyExists, fmt::format("directory \"{}\" is not empty", directory),
                "Another restore into it is running.");
  }
}

void CheckIsOfThisCluster(const std::string& directory, const StageMarker& marker,
                          const RepositoryIdentity& identity) {
  if (marker.repository_created_at != identity.created_at) {
    throw Refusal(ErrorCode::kWrongCluster, directory, "It is a stage of another repository.");
  }
  const std::string path = directory + "/global/pg_control";
  const auto status = StatLink(path);
  if (!status || !S_ISREG(status->st_mode)) return;
  if (static_cast<uint64_t>(status->st_size) > kControlFileBytes) return;  // is none
  const auto control = ReadControlFile(path);
  if (control && control->system_identifier != identity.system_identifier) {
    throw Refusal(ErrorCode::kWrongCluster, directory,
                  fmt::format("It holds the cluster with system identifier {}; the repository is "
                              "that of {}.",
                              control->system_identifier, identity.system_identifier));
  }
}

void CheckMayBeReplaced(const std::string& directory, const StageMarker& marker) {
  if (marker.role == StageRole::kReplaced) {
    throw Refusal(ErrorCode::kNotInPrerequisiteState, directory,
                  "It holds the data directory whose place a stage took.");
  }
  for (const std::string_view name : kActivationFiles) {
    if (!StatLink(fmt::format("{}/{}/{}", directory, kStageFolder, name))) continue;
    throw Refusal(ErrorCode::kNotInPrerequisiteState, directory,
                  "It is a stage whose activation was begun.");
  }
  if (HasServed(directory)) {
    throw Refusal(ErrorCode::kNotInPrerequisiteState, directory,
                  "It was the server until its activation was undone, and holds what was written "
                  "then.");
  }
  if (!IsOfDirectory(marker, directory)) {
    throw Refusal(
        ErrorCode::kNotInPrerequisiteState, directory,
        fmt::format("It is a stage that was moved or copied there from \"{}\".", marker.directory));
  }
}

bool IsDirectory(const std::string& path) {
  const auto status = StatLink(path);
  return status && S_ISDIR(status->st_mode);
}

// Does this directory carry the marker of a stage in `directory`?
bool IsMarkedFor(const std::string& place, const std::string& directory, const StageMarker& stage) {
  const auto marker = ReadStageMarker(place);
  return marker && IsPartOfStage(*marker, stage, directory);
}

// Does this directory of tablespaces belong to the stage in `directory`?
bool BelongsTo(const std::string& place, const std::string& directory, const StageMarker& stage) {
  return IsDirectory(place) &&
         (HoldsOnlyDirectories(place) || IsMarkedFor(place, directory, stage));
}

// Media of the stage in `directory`: those that its marker names, and `wanted` where it was begun
// and the marker did not come to name it. An empty one may be anybody's, and is no obstacle.
std::vector<std::string> MediaOf(const std::string& directory,
                                 const std::optional<StageMarker>& stage,
                                 const std::string& wanted) {
  std::set<std::string> media;
  if (stage) {
    std::vector<std::string> named = stage->earlier_media;
    if (!stage->media_directory.empty()) named.push_back(stage->media_directory);
    for (const std::string& place : named) {
      if (!IsDirectory(place)) continue;
      if (!HoldsOnlyStageFolder(place) && !IsMarkedFor(place, directory, *stage)) continue;
      media.insert(ResolvePath(place) == ResolvePath(wanted) ? wanted : place);
    }
  }
  if (HoldsOnlyStageFolder(wanted)) media.insert(wanted);
  return {media.begin(), media.end()};
}

void AddOccupied(const std::string& path, std::map<dev_t, uint64_t>* bytes,
                 const std::function<void()>& pause_point) {
  pause_point();
  const auto entries = ReadDirectory(path);
  if (!entries) return;
  for (const DirectoryEntry& entry : *entries) {
    const std::string below = path + "/" + entry.name;
    const auto status = StatLink(below);
    if (status && S_ISDIR(status->st_mode)) {
      AddOccupied(below, bytes, pause_point);
    } else if (status && S_ISREG(status->st_mode) && status->st_nlink == 1) {
      (*bytes)[status->st_dev] += static_cast<uint64_t>(status->st_blocks) * kStatBlockBytes;
    }
  }
}

}  // namespace

std::optional<EarlierStage> FindEarlierStage(const std::string& directory,
                                             const Repository& repository,
                                             const std::string& media_directory) {
  if (!IsDirectory(directory)) return std::nullopt;
  EarlierStage stage;
  const auto marker = ReadStageMarker(directory);
  if (!marker) {
    const bool was_begun = IsDirectory(fmt::format("{}/{}", directory, kStageFolder)) &&
                           HoldsOnlyDirectories(directory);
    if (!was_begun) return std::nullopt;
    CheckNobodyFills(directory);
    stage.directories = {directory};
  } else {
    CheckNotRunning(directory, fmt::format("restore into \"{}\"", directory));
    CheckMayBeReplaced(directory, *marker);
    CheckIsOfThisCluster(directory, *marker, repository.identity());
    CheckNobodyFills(directory);
    stage.stage_id = marker->stage_id;
    stage.directories = {directory};
    stage.tablespaces = marker->tablespaces;
    if (marker->socket_directory == ShortSocketDirectory(marker->stage_id)) {
      stage.socket_directory = marker->socket_directory;
    }
  }
  std::vector<std::string> places = stage.tablespaces;
  places.push_back(TablespacesDirectory(directory));
  for (const std::string& place : places) {
    if (BelongsTo(place, directory, marker.value_or(StageMarker()))) {
      stage.directories.push_back(place);
    }
  }
  stage.media = MediaOf(directory, marker, media_directory);
  stage.directories.insert(stage.directories.end(), stage.media.begin(), stage.media.end());
  return stage;
}

std::map<dev_t, uint64_t> OccupiedBytes(const EarlierStage& stage,
                                        const std::function<void()>& pause_point) {
  std::map<dev_t, uint64_t> bytes;
  for (const std::string& directory : stage.directories) {
    AddOccupied(directory, &bytes, pause_point);
  }
  return bytes;
}

}  // namespace backup_ext
