// Root works as the user whose repository it is.
#pragma once

#include <string>

namespace backup_ext {

// What root keeps of its rights.
enum class RootRights {
  kNone,
  kGiveFilesAway,  // files that the process makes may become those of other users
};

// Does nothing unless the process is root and somebody else owns the repository in directory
// `location`; then the process becomes that user for good, with the user's groups, and says so on
// standard error. A repository belongs to one user: what root leaves in it, its server could not
// read; and what another user prepared there, root must not follow. Throws Error.
void BecomeOwnerOf(const std::string& location, RootRights rights = RootRights::kNone);

}  // namespace backup_ext
