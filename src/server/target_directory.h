// Where a caller of SQL may have something written, and where nobody may.
#pragma once

#include <string>
#include <vector>

#include "settings.h"

namespace backup_ext {

// The directory that an SQL function was given. A path is for superusers: it writes as the server's
// operating system user; anybody else gives one name, below the staging directory. `attempt`:
// "restore into". Throws Error(kPermissionDenied), Error(kInvalidArgument).
[[nodiscard]] std::string TargetDirectory(const char* directory, bool is_superuser,
                                          const char* attempt);

// What a target must not be, lie in or contain: this cluster and its repository.
[[nodiscard]] std::vector<std::string> ForbiddenDirectories(const Settings& settings);

}  // namespace backup_ext
