// Where the tablespaces of an export are to be, as pg_basebackup --tablespace-mapping says it.
#include "restore/tablespace_mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "restore/target_place.h"

namespace backup_ext {

void AddTablespaceMapping(std::string_view text, TablespaceMapping* mapping) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("\"{}\" is not a tablespace mapping: {}", text, why), {},
                 "Write OLDDIR=NEWDIR, with \"=\" in a path as \"\\=\".");
  };
  std::string parts[2];
  size_t part = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '=';
    if (escaped) ++i;
    if (text[i] == '=' && !escaped) {
      if (++part == 2) throw refuse("it has more than one \"=\"");
    } else {
      parts[part] += text[i];
    }
  }
  if (part == 0) throw refuse("it has no \"=\"");
  if (parts[0].empty() || parts[0][0] != '/') throw refuse("the old directory is not absolute");
  if (parts[1].empty() || parts[1][0] != '/') throw refuse("the new directory is not absolute");
  const std::string target = CleanDirectoryPath(parts[1]);
  if (!mapping->emplace(std::move(parts[0]), target).second) {
    throw refuse("the old directory is mapped already");
  }
}

std::map<uint32_t, std::string> MappedTablespaces(
    const TablespaceMapping& mapping, const std::map<uint32_t, std::string>& origins) {
  std::map<uint32_t, std::string> mapped;
  std::set<std::string> targets;
  for (const auto& [origin, target] : mapping) {
    const auto found = std::find_if(origins.begin(), origins.end(),
                                    [&](const auto& known) { return known.second == origin; });
    if (found == origins.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the backup has no tablespace in directory \"{}\"", origin), {},
                  "\"backup_ext show\" lists its tablespaces.");
    }
    if (!targets.insert(target).second) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("two tablespaces are mapped to directory \"{}\"", target));
    }
    mapped[found->first] = target;
  }
  return mapped;
}

}  // namespace backup_ext
