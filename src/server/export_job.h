// An export, seen from the server.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// In a worker process of its own. Throws Error or PostgresError; then the directory is as it was.
void RunExport(const JobRequest& request, JobSlot* slot);

}  // namespace backup_ext
