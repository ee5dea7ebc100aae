// What lies in a directory, removed.
#include "restore/directory_content.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"

namespace backup_ext {

void RemoveContent(const std::string& directory, std::string_view kept) {
  const auto entries = ReadDirectory(directory);
  if (!entries) return;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name == kept) continue;
    const std::string path = directory + "/" + entry.name;
    const auto status = StatLink(path);
    if (status && S_ISDIR(status->st_mode)) {
      RemoveTree(path);
    } else {
      RemoveFile(path);
    }
  }
}

bool HoldsOnlyDirectories(const std::string& directory) {
  const auto status = StatLink(directory);
  if (!status || !S_ISDIR(status->st_mode)) return false;
  const auto entries = ReadDirectory(directory);
  return entries && std::all_of(entries->begin(), entries->end(), [&](const DirectoryEntry& entry) {
           return (entry.name == kUnfinishedMarkerName && BaseName(directory) == kStageFolder) ||
                  HoldsOnlyDirectories(directory + "/" + entry.name);
         });
}

}  // namespace backup_ext
