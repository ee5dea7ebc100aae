// Root works as the user whose repository or data directory it is.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// What root keeps of its rights.
enum class RootRights {
  kNone,
  kGiveFilesAway,  // files that the process makes may become those of other users
};

// Does nothing unless the process is root and somebody else owns directory `location`, which is a
// `what` ("repository", "data directory"); then the process becomes that user for good, with the
// user's groups, and says so on standard error. What root leaves there, its server could not read;
// and what another user prepared there, root must not follow. Throws Error.
void BecomeOwnerOf(const std::string& location, std::string_view what,
                   RootRights rights = RootRights::kNone);

}  // namespace backup_ext
