// The memory of the data directory (backup_ext.state), as the server uses it.
//
// It tells a repository whose file system is not mounted from one that was never made, and a
// backup's parent from one that this data directory never saw.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "cluster/cluster_memory.h"
#include "store/repository.h"

namespace backup_ext {

// Of this cluster; nothing when there is none, or none that can be used: then `*problem` says why.
[[nodiscard]] std::optional<ClusterMemory> ReadOwnMemory(std::string* problem);
// The ids of those that were taken from this data directory into this repository.
[[nodiscard]] std::set<std::string> RememberedBackups(const Repository& repository);

// True when `memory` is of the repository at `location`, whatever is there now.
[[nodiscard]] bool Remembers(const std::optional<ClusterMemory>& memory,
                             const std::string& location);

// For when there is no repository at `location`: throws Error(kNoRepository) with a hint when the
// data directory remembers one.
void ThrowIfRepositoryIsMissed(const std::string& location);

// Throws Error(kNotInPrerequisiteState) when this server may not write into the repository: it runs
// on a stage that was restored from it, or on a data directory that such a stage replaced. A stage
// that was activated is neither.
void RequireOwner(const Repository& repository);

// Opens the repository at `location`, or makes it where none is remembered. A memory that cannot be
// read, or another repository than the remembered one, is a WARNING.
[[nodiscard]] Repository OpenRepositoryOfBackup(const std::string& location);

// To be called when the server starts, once its settings are read. After anything but an orderly
// shutdown what the memory's backups saw of file times proves nothing: a volume that was taken away
// without a reboot lost writes, as a machine does that loses its power. And what the server does
// with wal_level = minimal is not all in its WAL: no earlier backup can be the parent of a later
// one. Never throws, changes nothing else.
void ForgetAtServerStart() noexcept;

// Adds the backup to the memory of `repository` and drops those of which nothing is left there. A
// failure is a WARNING: the backup is good without.
void RememberBackup(const Repository& repository, const std::string& backup_id);

}  // namespace backup_ext
