// A lock that tells of this server to processes that cannot see it.
#pragma once

namespace backup_ext {

// From _PG_init in the postmaster: a read lock on postmaster.pid, for as long as the postmaster or
// any child of it lives. The kernel shows it in every container that has the directory. A failure
// is written to the log at most.
void LockPostmasterFile();

}  // namespace backup_ext
