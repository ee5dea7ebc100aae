// A staged restore, seen from the server: a safety backup first where wanted, then the core's run.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// In a worker process of its own. Throws Error or PostgresError; then the stage's directory is as
// it was and its description is gone, or, where that is an earlier stage that it began to change,
// it is listed as failed.
void RunStage(const JobRequest& request, JobSlot* slot);

// This cluster's repository for reading. Throws Error(kWrongCluster) for another cluster's.
class Repository;
[[nodiscard]] Repository OpenOwnRepository();
// For writing; also throws what RequireOwner() throws.
[[nodiscard]] Repository OpenOwnRepositoryToWrite();

}  // namespace backup_ext
