// A verify, seen from the server: the core's run, then its result into the catalog, to the server
// log and to who waits for it.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// In a worker process of its own. Throws Error or PostgresError. A result that cannot be written
// into the repository is a warning: who waits has the rows.
void RunVerify(const JobRequest& request, JobSlot* slot);

}  // namespace backup_ext
