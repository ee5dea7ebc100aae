// The marker that says whose a staged directory is: `backup_ext_stage/stage.json`.
#include "restore/stage_marker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "restore/path_text.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

constexpr size_t kMarkerLimitBytes = 64 * 1024;
constexpr const char* kReplaced = "replaced";

}  // namespace

std::string EncodeStageMarker(const StageMarker& marker) {
  const nlohmann::json json = {{"stage_id", marker.stage_id},
                               {"backup_id", marker.backup_id},
                               {"directory", PathToText(marker.directory)},
                               {"socket_directory", PathToText(marker.socket_directory)},
                               {"repository_created_at", marker.repository_created_at},
                               {"role", marker.role == StageRole::kStaged ? "staged" : kReplaced}};
  return json.dump(2) + "\n";
}

std::string StageMarkerPath(const std::string& directory) {
  return fmt::format("{}/{}/stage.json", directory, kStageFolder);
}

std::optional<StageMarker> ReadStageMarker(const std::string& directory) {
  const std::string folder = fmt::format("{}/{}", directory, kStageFolder);
  const auto folder_status = StatLink(folder);
  const std::string path = StageMarkerPath(directory);
  const auto status = StatLink(path);
  if (!folder_status || !S_ISDIR(folder_status->st_mode)) return std::nullopt;
  if (!status || !S_ISREG(status->st_mode)) return std::nullopt;
  try {
    const Bytes text = ReadWholeFile(path, kMarkerLimitBytes);
    const auto json = nlohmann::json::parse(AsText(text));
    return StageMarker{json.at("stage_id"),
                       json.at("backup_id"),
                       PathFromText(json.at("directory").get<std::string>()),
                       PathFromText(json.at("socket_directory").get<std::string>()),
                       json.at("repository_created_at").get<Microseconds>(),
                       json.at("role") == kReplaced ? StageRole::kReplaced : StageRole::kStaged};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string ShortSocketDirectory(const std::string& stage_id) {
  return "/tmp/backup_ext-" + stage_id;
}

std::string SocketDirectory(const std::string& directory, const std::string& stage_id, int port) {
  std::string inside = fmt::format("{}/{}/socket", directory, kStageFolder);
  const std::string socket = fmt::format("{}/.s.PGSQL.{}", inside, port);
  if (socket.size() < sizeof(sockaddr_un::sun_path)) return inside;
  return ShortSocketDirectory(stage_id);
}

}  // namespace backup_ext
