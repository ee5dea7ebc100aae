// Tablespaces whose links lead nowhere: their file system is not mounted, or they were lost.
#pragma once

#include <functional>
#include <string>

#include "backup/backup_run.h"

namespace backup_ext {

// Is there a directory of this server's version in what `pg_tblspc/<oid>` leads to? An empty mount
// point is none.
[[nodiscard]] bool HasTablespace(const ClusterFacts& facts, const std::string& path);

// Throws Error(kNotInPrerequisiteState) if the link at `pg_tblspc/<oid>` still stands. The server
// makes a link last and removes it last, so one that leads to no tablespace is soon gone when it is
// that of CREATE or DROP TABLESPACE.
void ThrowIfStillLinked(const ClusterFacts& facts, const std::string& path);

// For all of them, before the server is asked for a checkpoint: that fails too, and says less.
// `wait` is called between looks, for a CREATE or DROP TABLESPACE to end.
void CheckTablespacesAreThere(const ClusterFacts& facts, const std::function<void()>& wait);

}  // namespace backup_ext
