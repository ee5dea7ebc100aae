// Sees whether a tablespace is created while a backup runs.
#include "tablespace_watch.h"

#include <dirent.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

// 0 when it does not exist.
int64_t ChangedAt(const std::string& path) {
  const auto status = StatFile(path);
  return status ? status->st_ctim.tv_sec * 1'000'000'000LL + status->st_ctim.tv_nsec : 0;
}

}  // namespace

TablespaceWatch::TablespaceWatch(const std::string& data_directory)
    : directory_(JoinPath(data_directory, "pg_tblspc")), last_(Look()) {}

TablespaceWatch::Sight TablespaceWatch::Look() const {
  Sight sight;
  // First the time, then the names: a change in between is seen at the next look.
  sight.changed_ns = ChangedAt(directory_);
  const auto entries = ReadDirectory(directory_);
  if (!entries) return sight;
  for (const DirectoryEntry& entry : *entries) {
    const auto link = StatLink(JoinPath(directory_, entry.name));
    if (link) (S_ISLNK(link->st_mode) ? sight.links : sight.others).insert(entry.name);
  }
  return sight;
}

void TablespaceWatch::Check() {
  if (ChangedAt(directory_) == last_.changed_ns) return;
  const Sight now = Look();
  const bool has_new_link =
      !std::includes(last_.links.begin(), last_.links.end(), now.links.begin(), now.links.end());
  // Changed, and yet the same: made and removed again between two looks, or removed and made.
  const bool looks_the_same = now.links == last_.links && now.others == last_.others;
  last_ = now;
  if (!has_new_link && !looks_the_same) return;
  throw Error(ErrorCode::kNotInPrerequisiteState, "a tablespace was created during the backup",
              "Replaying its creation in a copy on this machine would write into the location that "
              "the running server uses.",
              "Take the backup again.");
}

}  // namespace backup_ext
