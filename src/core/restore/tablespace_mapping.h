// Where the tablespaces of an export are to be, as pg_basebackup --tablespace-mapping says it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace backup_ext {

// Directory on the origin to the directory that takes its place. Both absolute.
using TablespaceMapping = std::map<std::string, std::string>;

// `OLDDIR=NEWDIR`, a "=" in either written as "\=". Throws Error(kInvalidArgument) for text that is
// none, and for a second mapping of the same directory.
void AddTablespaceMapping(std::string_view text, TablespaceMapping* mapping);

// By oid, for the tablespaces of a backup that are mapped. Throws Error(kInvalidArgument) for a
// mapping of a directory that is none of `origins` (oid to directory), and for two to one place.
[[nodiscard]] std::map<uint32_t, std::string> MappedTablespaces(
    const TablespaceMapping& mapping, const std::map<uint32_t, std::string>& origins);

}  // namespace backup_ext
