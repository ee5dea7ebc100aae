// A local directory held open by descriptor, and what can be done below it without leaving it.
//
// Names are relative paths of plain components. No link below the root is ever followed. Private
// to this room: the directory store and the writer's lock stand on it. Any thread may call.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {

inline constexpr mode_t kRepositoryDirectoryMode = 0700;
inline constexpr mode_t kRepositoryFileMode = 0600;

// openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS); O_CLOEXEC is added. Where the kernel has no
// openat2, OpenBeneathByComponent does it. Invalid on failure, with errno set: ELOOP for a link,
// EXDEV for a name that leaves the directory.
[[nodiscard]] FileDescriptor OpenBeneath(int directory_fd, const std::string& name, int flags,
                                         mode_t mode = 0);
[[nodiscard]] FileDescriptor OpenBeneathByComponent(int directory_fd, const std::string& name,
                                                    int flags, mode_t mode = 0);

// Gives the file `from_name` the name `to_name`, which must not exist. 0, or the errno (EEXIST).
// Not durable by itself.
[[nodiscard]] int MoveWithoutReplacing(int from_directory, const std::string& from_name,
                                       int to_directory, const std::string& to_name);
// The same for file systems whose renameat2() knows no RENAME_NOREPLACE.
[[nodiscard]] int LinkWithoutReplacing(int from_directory, const std::string& from_name,
                                       int to_directory, const std::string& to_name);

// fsync of a directory. `path` is for the message.
void SyncDirectoryDescriptor(int fd, const std::string& path);

// The entries of an open directory, without "." and "..", in no order. The type is never
// DT_UNKNOWN. `path` is for the message.
[[nodiscard]] std::vector<DirectoryEntry> ReadEntries(int directory_fd, const std::string& path);

// Throws Error(kPermissionDenied) when the directory belongs to another user or others may write
// to it.
void CheckOnlyOursToWrite(const std::string& path, const struct stat& status);

// The error for a repository that is not there.
[[nodiscard]] Error MissingRepository(const std::string& path);

class RootedDirectory {
 public:
  // Throws Error(kNoRepository) when there is no such directory, and what CheckOnlyOursToWrite
  // throws.
  explicit RootedDirectory(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return root_.get(); }
  // For messages.
  [[nodiscard]] std::string PathOf(const std::string& name) const { return JoinPath(path_, name); }

  // Throws Error(kNoRepository) when the path no longer names the directory that was opened: it
  // was removed, unmounted or replaced.
  void CheckStillThere() const;

  // Nothing when it does not exist. Throws Error(kDamaged) when a link is in the way.
  [[nodiscard]] std::optional<FileDescriptor> OpenIfExists(const std::string& name, int flags,
                                                           mode_t mode = 0) const;
  // The same. An empty name is the root itself: never nothing.
  [[nodiscard]] std::optional<FileDescriptor> OpenDirectory(const std::string& name) const;

  // Makes what is missing, durably, and opens it. A directory that was there is made durable too
  // when this object has not done so yet: whoever made it may have died before its fsync.
  [[nodiscard]] FileDescriptor EnsureDirectory(const std::string& name);
  // Removes `name` and its parents as far as they are empty, but no top-level directory; durable.
  void RemoveEmptyDirectories(std::string name);

 private:
  // Nothing when somebody removed a part again meanwhile.
  [[nodiscard]] std::optional<FileDescriptor> TryEnsureDirectory(const std::string& name);

  std::string path_;
  FileDescriptor root_;
  std::mutex mutex_;
  std::set<std::string> durable_;  // guarded by mutex_
};

}  // namespace backup_ext
