// What a data directory remembers of its backups: the file `backup_ext.state` in it.
//
// With it two things are found out that nothing else tells. A repository's mount point that is not
// mounted looks like an empty directory: a new repository must not be made where there was one. And
// a data directory that went back in time as a whole (a virtual machine's or a file system's
// snapshot) has the same timeline, inodes and times as before: a backup taken after that snapshot
// is no parent for its next one. The file went back with the rest and does not name that backup.
//
// It belongs to no backup: what is restored begins without.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace backup_ext {

inline constexpr std::string_view kClusterMemoryFile = "backup_ext.state";
// The file or a temporary of it; `path` is relative to the data directory.
[[nodiscard]] bool IsClusterMemoryFile(std::string_view path);

struct ClusterMemory {
  uint64_t system_identifier = 0;
  std::string repository;                  // its location; empty: none yet
  Microseconds repository_created_at = 0;  // RepositoryIdentity::created_at
  // The backups, finished and interrupted ones, that were taken from this data directory, oldest
  // first, at most kRememberedBackups.
  std::vector<std::string> backup_ids;
  // The run of the machine in which the last one was taken (boot_id of the kernel), and those that
  // were taken in it. A machine that lost its power may have written a file's content and not its
  // times: what an earlier run saw of times proves nothing.
  std::string boot_id;
  std::vector<std::string> boot_backup_ids;
  bool operator==(const ClusterMemory&) const = default;
};
inline constexpr size_t kRememberedBackups = 4096;

// Nothing when there is no such file, when it came with a copy of another data directory (a standby
// made by pg_basebackup keeps its backups elsewhere, and must not miss those of its origin), or
// when it is not whole (`*problem` says why; else empty): then nothing is remembered, which costs a
// full backup and never more.
[[nodiscard]] std::optional<ClusterMemory> ReadClusterMemory(const std::string& data_directory,
                                                             std::string* problem);
// Temporary file, fsync, rename, fsync of the directory. Of more than kRememberedBackups backups
// the newest are kept. Throws Error.
void WriteClusterMemory(const std::string& data_directory, const ClusterMemory& memory);

}  // namespace backup_ext
