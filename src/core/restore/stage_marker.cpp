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

nlohmann::json PathsToJson(const std::vector<std::string>& paths) {
  nlohmann::json json = nlohmann::json::array();
  for (const std::string& path : paths) json.push_back(PathToText(path));
  return json;
}

std::vector<std::string> PathsFromJson(const nlohmann::json& json) {
  std::vector<std::string> paths;
  for (const auto& path : json) paths.push_back(PathFromText(path.get<std::string>()));
  return paths;
}

}  // namespace

std::string EncodeStageMarker(const StageMarker& marker) {
  const nlohmann::json json = {{"stage_id", marker.stage_id},
                               {"backup_id", marker.backup_id},
                               {"directory", PathToText(marker.directory)},
                               {"socket_directory", PathToText(marker.socket_directory)},
                               {"tablespaces", PathsToJson(marker.tablespaces)},
                               {"media_directory", PathToText(marker.media_directory)},
                               {"earlier_media_directories", PathsToJson(marker.earlier_media)},
                               {"repository_created_at", marker.repository_created_at},
                               {"building", marker.building},
                               {"role", marker.role == StageRole::kStaged ? "staged" : kReplaced}};
  return json.dump(2) + "\n";
}

std::string InStageFolder(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}/{}", directory, kStageFolder, name);
}

std::string StageMarkerPath(const std::string& directory) {
  return InStageFolder(directory, "stage.json");
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
    StageMarker marker;
    marker.stage_id = json.at("stage_id");
    marker.backup_id = json.at("backup_id");
    marker.directory = PathFromText(json.at("directory").get<std::string>());
    marker.socket_directory = PathFromText(json.at("socket_directory").get<std::string>());
    marker.repository_created_at = json.at("repository_created_at");
    if (json.at("role") == kReplaced) marker.role = StageRole::kReplaced;
    marker.building = json.value("building", false);
    marker.media_directory = PathFromText(json.value("media_directory", std::string()));
    marker.tablespaces = PathsFromJson(json.at("tablespaces"));
    marker.earlier_media =
        PathsFromJson(json.value("earlier_media_directories", nlohmann::json::array()));
    return marker;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

bool IsOfDirectory(const StageMarker& marker, const std::string& directory) {
  return ResolvePath(marker.directory) == ResolvePath(directory);
}

bool IsPartOfStage(const StageMarker& marker, const StageMarker& stage,
                   const std::string& directory) {
  return marker.role == StageRole::kStaged && IsOfDirectory(marker, directory) &&
         marker.repository_created_at == stage.repository_created_at;
}

std::string ShortSocketDirectory(const std::string& stage_id) {
  return "/tmp/backup_ext-" + stage_id;
}

std::string SocketDirectory(const std::string& directory, const std::string& stage_id, int port) {
  std::string inside = InStageFolder(directory, "socket");
  const std::string socket = fmt::format("{}/.s.PGSQL.{}", inside, port);
  if (socket.size() < sizeof(sockaddr_un::sun_path)) return inside;
  return ShortSocketDirectory(stage_id);
}

}  // namespace backup_ext
