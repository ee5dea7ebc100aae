// The marker that says whose a staged directory is: `backup_ext_stage/stage.json`.
#pragma once

#include <optional>
#include <string>

namespace backup_ext {

struct StageMarker {
  std::string stage_id;
  std::string backup_id;
  std::string directory;
  std::string socket_directory;
};

[[nodiscard]] std::string EncodeStageMarker(const StageMarker& marker);
// The marker of `directory`; nothing when it has none that can be read. Follows no link.
[[nodiscard]] std::optional<StageMarker> ReadStageMarker(const std::string& directory);

// Where the socket of a stage goes: into the stage, or, where its path would not fit into a socket
// address (107 bytes), into a directory of its own in /tmp.
[[nodiscard]] std::string SocketDirectory(const std::string& directory, const std::string& stage_id,
                                          int port);
[[nodiscard]] std::string ShortSocketDirectory(const std::string& stage_id);

}  // namespace backup_ext
