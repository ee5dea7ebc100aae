// Where the tablespaces of a restore or an export are to be: as pg_basebackup --tablespace-mapping
// says it, or as the tablespace_map of backup_stage_restore().
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

// Directory on the origin, or oid in digits, to the directory that takes its place. Directories are
// absolute.
using TablespaceMapping = std::map<std::string, std::string>;

// `OLDDIR=NEWDIR`, a "=" in either written as "\=". Throws Error(kInvalidArgument) for text that is
// none, and for a second mapping of the same directory.
void AddTablespaceMapping(std::string_view text, TablespaceMapping* mapping);

// By oid, for the tablespaces of a backup that are mapped. Throws Error(kInvalidArgument) for a
// mapping of a directory that is none of `origins` (oid to directory), and for two to one place.
[[nodiscard]] std::map<uint32_t, std::string> MappedTablespaces(
    const TablespaceMapping& mapping, const std::map<uint32_t, std::string>& origins);

// {"16400": "/fast/new", "/srv/old": "/srv/new"}. Throws Error(kInvalidArgument) for anything else.
[[nodiscard]] TablespaceMapping ParseTablespaceMap(std::string_view json);

// Each place must be one that a restore into `directory` may write to: CheckTargetPlace(), neither
// in `directory`, nor in its `.tablespaces`, nor in another place. `earlier` as there.
void CheckTablespacePlaces(const std::string& directory,
                           const std::map<uint32_t, std::string>& places,
                           const std::vector<std::string>& forbidden,
                           const std::vector<std::string>& earlier = {});

}  // namespace backup_ext
