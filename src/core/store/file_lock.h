// Locks of the operating system on files of a repository. Private to this room.
#pragma once

#include <string>

#include "store/rooted_directory.h"

namespace backup_ext {

enum class LockKind { kShared, kExclusive };
enum class LockResult {
  kLocked,
  kRefused,      // somebody else has one that does not go with it
  kUnsupported,  // errno says why
};

// An open file description lock on the whole file: it ends when the last descriptor of this opening
// is closed, at the latest with the process, and conflicts with another opening of this process
// too. kShared wants a descriptor open for reading, kExclusive one open for writing.
[[nodiscard]] LockResult TryLockFile(int fd, LockKind kind);

// Whether an exclusive lock would be refused now. Takes none; any descriptor will do.
[[nodiscard]] bool IsFileLocked(int fd);

// True when `name` leads to the file that `fd` has open.
[[nodiscard]] bool NamesSameFile(const RootedDirectory& root, const std::string& name, int fd);

}  // namespace backup_ext
