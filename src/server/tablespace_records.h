// Looks into WAL for tablespaces that were created.
//
// A backup on a primary begins with a checkpoint of its own, so that the TablespaceWatch sees all
// that its WAL can hold. On a standby it begins at the last restartpoint, which may be long ago: a
// tablespace made since is there when the watch begins, and its creation is replayed in a copy
// nevertheless.
#pragma once

#include <cstdint>
#include <functional>

namespace backup_ext {

// Throws Error(kNotInPrerequisiteState) when the WAL from `start_lsn`, where a record begins, to
// the last record replayed creates a tablespace at a location. For a server in recovery. `pause` is
// called now and then.
void CheckNoTablespaceCreatedSince(uint64_t start_lsn, const std::function<void()>& pause);

}  // namespace backup_ext
