// An ObjectStore in a local directory.
//
// Writes go to <root>/tmp/<random>.tmp with mode 0600, are fsynced, then linked to their name with
// renameat2(RENAME_NOREPLACE), then the directory is fsynced. Directories are made with mode 0700,
// durably. Every path is resolved below a descriptor of the root with
// openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS): no link inside the repository is followed, and a
// repository that was unmounted or replaced meanwhile is an error, not another directory.
//
// Names below tmp/ are reserved. What others put into the directory (lost+found, links, pipes) is
// not listed; opening it is Error(kDamaged).
#pragma once

#include <memory>
#include <string>

#include "store/object_store.h"

namespace backup_ext {

// The root must exist. Throws Error(kNoRepository) when it does not or is no directory,
// Error(kPermissionDenied) when it belongs to another user or others may write to it.
[[nodiscard]] std::unique_ptr<ObjectStore> OpenDirectoryStore(const std::string& root);

}  // namespace backup_ext
