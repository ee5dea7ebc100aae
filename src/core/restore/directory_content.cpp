// What lies in a directory, removed.
#include "restore/directory_content.h"

#include "base/file.h"

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

}  // namespace backup_ext
