// Names of relation files, and what belongs in a base backup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backup_ext {

enum class Fork { kMain, kFreeSpaceMap, kVisibilityMap, kInit };

struct RelationFileName {
  uint32_t number = 0;  // relfilenode
  Fork fork = Fork::kMain;
  uint32_t segment = 0;
  bool operator==(const RelationFileName&) const = default;
};

// `16384`, `16384_vm`, `16384_init.1`, `16384.12`. Nothing for any other name: leading zeros, 0,
// numbers above 2^32-1. Source: src/backend/storage/file/reinit.c,
// parse_filename_for_nontemp_relation().
[[nodiscard]] std::optional<RelationFileName> ParseRelationFileName(std::string_view name);

// `t3_16384`, `t3_16384_vm.1`. Source: src/backend/storage/file/fd.c, looks_like_temp_rel_name().
[[nodiscard]] bool IsTemporaryRelationName(std::string_view name);

// Where relation files live: `global`, `base/<oid>`, `pg_tblspc/<oid>/PG_<version>/<oid>`.
// `directory` is relative to the data directory.
[[nodiscard]] bool IsRelationDirectory(std::string_view directory);
// The same without `global`: where temporary and unlogged relations can be.
[[nodiscard]] bool IsDatabaseDirectory(std::string_view directory);
// The database's oid from such a path; 0 for `global` and any other.
[[nodiscard]] uint32_t DatabaseOfDirectory(std::string_view directory);

// Digits only, without leading zeros: a tablespace's link in pg_tblspc, a database's directory.
[[nodiscard]] bool IsOid(std::string_view name);

}  // namespace backup_ext
