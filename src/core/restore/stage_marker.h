// The marker that says whose a staged directory is: `backup_ext_stage/stage.json`.
//
// Whatever carries it is no server of its own: nothing that runs on it may write into the
// repository of its origin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace backup_ext {

// What the directory is.
enum class StageRole {
  kStaged,    // a restored copy
  kReplaced,  // the data directory whose place that copy took
};

struct StageMarker {
  std::string stage_id;
  std::string backup_id;
  std::string directory;
  std::string socket_directory;
  // Whose copy it is: RepositoryIdentity::created_at, which no two repositories of a cluster share.
  // 0: not known, it may be any.
  Microseconds repository_created_at = 0;
  StageRole role = StageRole::kStaged;
  std::vector<std::string> tablespaces;  // those that lie elsewhere than beside the stage
  bool building = false;                 // not finished: no server can start on it
  std::string media_directory;           // empty: without media
  // While it is built: those of the stage that was there before, until they are removed.
  std::vector<std::string> earlier_media;
};

// What a marker is called while it is written; it is then renamed.
inline constexpr std::string_view kUnfinishedMarkerName = "stage.json.new";

// `<directory>/backup_ext_stage/<name>`
[[nodiscard]] std::string InStageFolder(const std::string& directory, std::string_view name);
// `<directory>/backup_ext_stage/stage.json`
[[nodiscard]] std::string StageMarkerPath(const std::string& directory);

[[nodiscard]] std::string EncodeStageMarker(const StageMarker& marker);
// The marker of `directory`; nothing when it has none that can be read. Follows no link.
[[nodiscard]] std::optional<StageMarker> ReadStageMarker(const std::string& directory);

// Is `marker` of a stage in `directory`, under whatever name that goes?
[[nodiscard]] bool IsOfDirectory(const StageMarker& marker, const std::string& directory);
// Does what carries `marker` belong to the stage in `directory`, whose own marker is `stage`, or to
// one that was there before, of the same repository?
[[nodiscard]] bool IsPartOfStage(const StageMarker& marker, const StageMarker& stage,
                                 const std::string& directory);

// Where the socket of a stage goes: into the stage, or, where its path would not fit into a socket
// address (107 bytes), into a directory of its own in /tmp.
[[nodiscard]] std::string SocketDirectory(const std::string& directory, const std::string& stage_id,
                                          int port);
[[nodiscard]] std::string ShortSocketDirectory(const std::string& stage_id);

}  // namespace backup_ext
