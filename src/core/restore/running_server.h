// Does a server run on a data directory?
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// Throws Error(kNotInPrerequisiteState) `cannot <attempt>: a server is running in "<directory>"`
// with the command that stops it when postmaster.pid names a live process of this directory, or any
// process named postgres has it as its working directory: what a server that was killed leaves
// behind still writes. A server in another container that shares only the file system cannot be
// seen.
void CheckNotRunning(const std::string& directory, std::string_view attempt);

}  // namespace backup_ext
