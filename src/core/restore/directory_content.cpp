// What lies in a directory, removed.
#include "restore/directory_content.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

constexpr mode_t kAllOfOwner = 0700;

// A descriptor a level, as RemoveTree(): nothing that is renamed meanwhile can lead elsewhere.
void MakeRemovableAt(int parent, const std::string& name,
                     const std::function<void()>& pause_point) {
  pause_point();
  const FileDescriptor handle(
      openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!handle.valid() || fstat(handle.get(), &status) != 0) return;
  const std::string path = fmt::format("/proc/self/fd/{}", handle.get());
  const bool is_ours =
      status.st_uid == geteuid() ||
      fchownat(handle.get(), "", geteuid(), static_cast<gid_t>(-1), AT_EMPTY_PATH) == 0;
  if (is_ours && (status.st_mode & kAllOfOwner) != kAllOfOwner) {
    (void)chmod(path.c_str(), (status.st_mode & 07777) | kAllOfOwner);
  }
  if (faccessat(AT_FDCWD, path.c_str(), R_OK | X_OK, AT_EACCESS) != 0) return;
  const auto entries = ReadDirectory(path);
  if (!entries) return;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.type == DT_DIR || entry.type == DT_UNKNOWN) {
      MakeRemovableAt(handle.get(), entry.name, pause_point);
    }
  }
}

}  // namespace

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

bool HoldsOnlyStageFolder(const std::string& directory) {
  if (!HoldsOnlyDirectories(directory)) return false;
  const auto entries = ReadDirectory(directory);
  return entries && entries->size() == 1 && entries->front().name == kStageFolder;
}

void MakeRemovable(const std::string& directory, const std::function<void()>& pause_point) {
  MakeRemovableAt(AT_FDCWD, directory, pause_point);
}

void EmptyStageTop(const std::string& directory, const std::function<void()>& pause_point) {
  MakeRemovable(directory, pause_point);
  RemoveContent(directory, kStageFolder);
  RemoveTree(fmt::format("{}/{}", directory, kStageFolder));
  if (rmdir(directory.c_str()) == 0) SyncDirectory(ParentDirectory(directory));
}

}  // namespace backup_ext
