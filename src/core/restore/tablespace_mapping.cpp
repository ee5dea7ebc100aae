// Where the tablespaces of a restore or an export are to be.
#include "restore/tablespace_mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
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

std::map<uint32_t, std::string> MappedTablespaces(const TablespaceMapping& mapping,
                                                  const std::map<uint32_t, std::string>& origins) {
  std::map<uint32_t, std::string> mapped;
  std::set<std::string> targets;
  for (const auto& [origin, target] : mapping) {
    const auto found =
        std::find_if(origins.begin(), origins.end(), [&wanted = origin](const auto& known) {
          return known.second == wanted || std::to_string(known.first) == wanted;
        });
    if (found == origins.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  origin[0] == '/'
                      ? fmt::format("the backup has no tablespace in directory \"{}\"", origin)
                      : fmt::format("the backup has no tablespace {} to map", origin),
                  {}, "\"backup_ext show\" lists its tablespaces.");
    }
    if (!targets.insert(target).second) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("two tablespaces are mapped to directory \"{}\"", target));
    }
    if (!mapped.emplace(found->first, target).second) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("tablespace {} is mapped twice", found->first));
    }
  }
  return mapped;
}

TablespaceMapping ParseTablespaceMap(std::string_view json) {
  const auto refuse = [](std::string why) {
    return Error(ErrorCode::kInvalidArgument, "invalid tablespace map", std::move(why),
                 "Give an object, for example {\"fast\": \"/srv/fast/restored\"}: name, oid or "
                 "directory of a tablespace, and the directory that it shall have, which must be "
                 "empty or missing.");
  };
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) throw refuse("It is not a JSON object.");
  TablespaceMapping mapping;
  for (const auto& [key, value] : object.items()) {
    const bool is_oid = !key.empty() && key.find_first_not_of("0123456789") == std::string::npos;
    if (!is_oid && (key.empty() || key[0] != '/')) {
      throw refuse(fmt::format("\"{}\" is neither an oid nor an absolute path.", key));
    }
    if (!value.is_string()) throw refuse(fmt::format("The place of \"{}\" is not text.", key));
    mapping[key] = CleanDirectoryPath(value.get<std::string>());
  }
  return mapping;
}

void CheckTablespacePlaces(const std::string& directory,
                           const std::map<uint32_t, std::string>& places,
                           const std::vector<std::string>& forbidden,
                           const std::vector<std::string>& earlier) {
  for (const auto& [oid, place] : places) {
    std::vector<std::string> all = forbidden;
    all.push_back(directory);
    all.push_back(TablespacesDirectory(directory));
    for (const auto& [other_oid, other] : places) {
      if (other_oid != oid) all.push_back(other);
    }
    CheckTargetPlace(place, all, earlier);
  }
}

}  // namespace backup_ext
