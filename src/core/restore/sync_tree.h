// Everything that a restore wrote, onto the disk.
#pragma once

#include <functional>

#include "restore/stage_tree.h"

namespace backup_ext {

// fsync of every file, then of every directory, below the directories that the tree has
// claimed and of those that hold them. Follows no link. Any failure is final: the stage is thrown
// away.
void SyncTree(const StageTree& tree, int threads, const std::function<void()>& pause_point);

}  // namespace backup_ext
