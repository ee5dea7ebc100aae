// Does a server run on a data directory?
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// Throws Error(kNotInPrerequisiteState) `cannot <attempt>: a server is running in "<directory>"`
// with the command that stops it when postmaster.pid names a live process of this directory, or any
// process named postgres has it as its working directory: what a server that was killed leaves
// behind still writes. Such a one is given 5 seconds to go: the last process of a server that was
// stopped is there for a moment when pg_ctl says that it is done. Of a server in another container
// that shares only the file system nothing is seen but the lock that it holds, if backup_ext is
// preloaded in it.
void CheckNotRunning(const std::string& directory, std::string_view attempt);

}  // namespace backup_ext
