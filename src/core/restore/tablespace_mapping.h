// Where the tablespaces of an export are to be, as pg_basebackup --tablespace-mapping says it.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace backup_ext {

// Directory on the origin to the directory that takes its place. Both absolute.
using TablespaceMapping = std::map<std::string, std::string>;

// `OLDDIR=NEWDIR`, a "=" in either written as "\=". Throws Error(kInvalidArgument) for text that is
// none, and for a second mapping of the same directory.
void AddTablespaceMapping(std::string_view text, TablespaceMapping* mapping);

}  // namespace backup_ext
