// Opens what lies below a directory, where somebody else may swap directories for links meanwhile.
#pragma once

#include <string>

#include "base/file.h"

namespace backup_ext {

// `path` is relative to the directory `root`; "" is that itself. No symbolic link is followed on
// the way, nor at its end, and the way never leads out. Without openat2(2) (Linux 5.6) only the
// last part is protected. An invalid descriptor, and errno, on failure.
[[nodiscard]] FileDescriptor OpenBeneath(int root, const std::string& path, int flags);

}  // namespace backup_ext
