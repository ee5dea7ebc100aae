// The links of pg_tblspc, and the tablespace_map from which a first start makes them anew.
#include "restore/tablespace_links.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "restore/owned_file.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

constexpr size_t kMapLimitBytes = 64UL * 1024 * 1024;

std::string Led(const std::string& target, const std::string& from, const std::string& to) {
  return IsInside(target, from) ? to + target.substr(from.size()) : target;
}

void ReplaceLink(const std::string& directory, uint32_t oid, const std::string& target) {
  const std::string link = fmt::format("{}/pg_tblspc/{}", directory, oid);
  const std::string temporary = fmt::format("{}/{}/link.tmp", directory, kStageFolder);
  RemoveFile(temporary);
  if (symlink(target.c_str(), temporary.c_str()) != 0) {
    throw SystemError(fmt::format("create symbolic link \"{}\"", temporary), errno);
  }
  const auto owner = StatLink(link);
  if (geteuid() == 0 && owner && lchown(temporary.c_str(), owner->st_uid, owner->st_gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", temporary), errno);
  }
  RenameDurably(temporary, link);
}

// Source: src/backend/access/transam/xlogrecovery.c, read_tablespace_map().
std::string MapLedTo(std::string_view map, const std::string& from, const std::string& to) {
  std::string result;
  std::string line;
  for (size_t i = 0; i < map.size(); ++i) {
    if (map[i] == '\\' && i + 1 < map.size()) {
      line += map[++i];
    } else if (map[i] != '\n') {
      line += map[i];
    } else {
      const size_t blank = std::min(line.find(' '), line.size());
      uint32_t oid = 0;
      std::from_chars(line.data(), line.data() + blank, oid);
      const std::string target = line.substr(std::min(blank + 1, line.size()));
      if (oid != 0) result += TablespaceMapLine(oid, Led(target, from, to));
      line.clear();
    }
  }
  return result;
}

}  // namespace

std::map<uint32_t, std::string> ReadTablespaceLinks(const std::string& directory) {
  std::map<uint32_t, std::string> links;
  const auto entries = ReadDirectory(directory + "/pg_tblspc");
  if (!entries) return links;
  for (const DirectoryEntry& entry : *entries) {
    const auto oid = TablespaceOfPath("pg_tblspc/" + entry.name);
    const std::string path = fmt::format("{}/pg_tblspc/{}", directory, entry.name);
    const auto status = StatLink(path);
    if (oid && status && S_ISLNK(status->st_mode)) links[*oid] = ReadLink(path);
  }
  return links;
}

std::string TablespaceMapLine(uint32_t oid, std::string_view target) {
  std::string line = fmt::format("{} ", oid);
  for (const char c : target) {
    if (c == '\n' || c == '\r' || c == '\\') line += '\\';
    line += c;
  }
  return line + "\n";
}

void LeadTablespacesTo(const std::string& directory, const std::string& from,
                       const std::string& to) {
  for (const auto& [oid, target] : ReadTablespaceLinks(directory)) {
    const std::string led = Led(target, from, to);
    if (led != target) ReplaceLink(directory, oid, led);
  }
  const std::string map_path = directory + "/tablespace_map";
  if (!StatLink(map_path)) return;
  const std::string map(AsText(ReadWholeFile(map_path, kMapLimitBytes)));
  const std::string led = MapLedTo(map, from, to);
  if (led != map) WriteOwnedFile(map_path, led, directory);
}

}  // namespace backup_ext
