// An earlier stage becomes one that is being built.
#pragma once

#include <functional>

#include "format/record.h"
#include "restore/earlier_stage.h"
#include "restore/plan.h"
#include "restore/stage_tree.h"
#include "store/repository.h"

namespace backup_ext {

// Durably: no server can start on what is left. None there is fine.
void RemoveControlFile(const StageTree& tree);

// After Claim() and once the markers say that the stage is being built. Removes pg_control first,
// durably: no server can start on it any more. Then everything goes that is not a file or directory
// of the backup: what is left has the right name, and any content. Tablespaces that the new stage
// does not have go too. Follows no link. Memory: 8 bytes a file of the backup. Throws
// Error(kDamaged) when the manifest lists a path twice.
void TakeOverStage(const Repository& repository, const BackupRecord& record,
                   const RestorePlan& plan, const StageTree& tree, const EarlierStage& earlier,
                   const std::function<void()>& pause_point);

}  // namespace backup_ext
