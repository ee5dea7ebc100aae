// Which relations are unlogged: those that have an init fork. Everything else of them stays out of
// a backup, for a server makes it anew from the init fork.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "cluster/relation_file.h"

namespace backup_ext {

// Relation numbers, ascending.
using InitForks = std::vector<uint32_t>;
[[nodiscard]] InitForks FindInitForks(const std::vector<DirectoryEntry>& names);

[[nodiscard]] bool IsExcludedAsUnlogged(const InitForks& init_forks, const RelationFileName& file);

// What the scan knew of each database directory (relative to the data directory) when it listed it.
using KnownInitForks = std::map<std::string, InitForks>;

// Paths that may have been copied before their relation's init fork could be seen: an unlogged
// index gets its init fork after it was built, which may take hours. Restored, such a file would
// stop the end of recovery, which makes it from the init fork and finds it there. Holds every fork
// and segment that is on disk now, and the first segment of each fork whether or not it is: a path
// that was never copied does no harm. Segments of a relation do not go before the relation does.
// Calls `turn` before each directory.
[[nodiscard]] std::set<std::string> FindLateUnlogged(const std::string& data_directory,
                                                     const KnownInitForks& known,
                                                     const std::function<void()>& turn);

}  // namespace backup_ext
