// What WAL summaries say was changed between two LSNs.
#include "cluster/changed_blocks.h"

#include <algorithm>

namespace backup_ext {
namespace {

// Hot blocks are named by every summary of a week: doubles must go while they come.
constexpr size_t kDoublesAllowed = 4096;

void RemoveDoubles(ForkChanges* changes) {
  std::ranges::sort(changes->blocks);
  changes->blocks.erase(std::unique(changes->blocks.begin(), changes->blocks.end()),
                        changes->blocks.end());
  changes->distinct = changes->blocks.size();
}

}  // namespace

void ChangedBlocks::Limit(const RelationFork& fork, uint32_t limit_block) {
  ForkChanges& changes = forks_[fork];
  changes.limit_block = std::min(changes.limit_block, limit_block);
}

void ChangedBlocks::Add(const RelationFork& fork, std::span<const uint32_t> blocks) {
  ForkChanges& changes = forks_[fork];
  changes.blocks.insert(changes.blocks.end(), blocks.begin(), blocks.end());
  if (changes.blocks.size() > 2 * changes.distinct + kDoublesAllowed) RemoveDoubles(&changes);
}

void ChangedBlocks::Seal() {
  for (auto& [fork, changes] : forks_) {
    RemoveDoubles(&changes);
    changes.blocks.shrink_to_fit();
  }
}

const ForkChanges* ChangedBlocks::Find(const RelationFork& fork) const {
  const auto found = forks_.find(fork);
  return found == forks_.end() ? nullptr : &found->second;
}

bool ChangedBlocks::IsDatabaseNew(uint32_t tablespace_oid, uint32_t database_oid) const {
  return forks_.contains({tablespace_oid, database_oid, 0, kMainForkNumber});
}

}  // namespace backup_ext
