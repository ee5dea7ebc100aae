// What WAL summaries say was changed between two LSNs: plain values, filled by the server, asked by
// the backup. Memory: at most 12 bytes for each changed block while it is filled, 4 afterwards.
//
// Source of the rules: src/backend/backup/basebackup_incremental.c, GetFileBackupMethod(), and
// src/include/common/blkreftable.h.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace backup_ext {

// The fork numbers of src/include/common/relpath.h.
inline constexpr uint32_t kMainForkNumber = 0;
inline constexpr uint32_t kFreeSpaceMapForkNumber = 1;
inline constexpr uint32_t kVisibilityMapForkNumber = 2;
inline constexpr uint32_t kInitForkNumber = 3;
inline constexpr uint32_t kDefaultTablespaceOid = 1663;
inline constexpr uint32_t kGlobalTablespaceOid = 1664;

struct RelationFork {
  uint32_t tablespace_oid = 0;
  uint32_t database_oid = 0;
  uint32_t relation = 0;  // the file's number; 0: the whole database was created or dropped
  uint32_t fork = kMainForkNumber;
  auto operator<=>(const RelationFork&) const = default;
};

struct ForkChanges {
  static constexpr uint32_t kNoLimit = std::numeric_limits<uint32_t>::max();
  // The shortest length, in blocks, that the fork had in between: what lies at or after it and is
  // not in `blocks` is not what it was. 0: created, dropped or truncated to nothing.
  uint32_t limit_block = kNoLimit;
  std::vector<uint32_t> blocks;  // ascending once Seal() was called
  size_t distinct = 0;           // of `blocks`, when doubles were last removed
};

class ChangedBlocks {
 public:
  // Several summaries may name one fork: the least limit counts, blocks add up.
  void Limit(const RelationFork& fork, uint32_t limit_block);
  void Add(const RelationFork& fork, std::span<const uint32_t> blocks);
  // Sorts, removes doubles. After this any thread may read.
  void Seal();

  // Nothing: no change of it is known.
  [[nodiscard]] const ForkChanges* Find(const RelationFork& fork) const;
  // Created, dropped, or copied file by file in between.
  [[nodiscard]] bool IsDatabaseNew(uint32_t tablespace_oid, uint32_t database_oid) const;
  [[nodiscard]] size_t size() const { return forks_.size(); }

 private:
  std::map<RelationFork, ForkChanges> forks_;
};

}  // namespace backup_ext
