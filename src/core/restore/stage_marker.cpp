// The marker that says whose a staged directory is: `backup_ext_stage/stage.json`.
#include "restore/stage_marker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

constexpr size_t kMarkerLimitBytes = 64 * 1024;

}  // namespace

std::string EncodeStageMarker(const StageMarker& marker) {
  const nlohmann::json json = {{"stage_id", marker.stage_id},
                               {"backup_id", marker.backup_id},
                               {"directory", marker.directory},
                               {"socket_directory", marker.socket_directory}};
  // A path need not be UTF-8; the marker is compared by its id only.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::optional<StageMarker> ReadStageMarker(const std::string& directory) {
  const std::string folder = fmt::format("{}/{}", directory, kStageFolder);
  const auto folder_status = StatLink(folder);
  const auto status = StatLink(folder + "/stage.json");
  if (!folder_status || !S_ISDIR(folder_status->st_mode)) return std::nullopt;
  if (!status || !S_ISREG(status->st_mode)) return std::nullopt;
  try {
    const Bytes text = ReadWholeFile(folder + "/stage.json", kMarkerLimitBytes);
    const auto json = nlohmann::json::parse(AsText(text));
    return StageMarker{json.at("stage_id"), json.at("backup_id"), json.at("directory"),
                       json.at("socket_directory")};
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
