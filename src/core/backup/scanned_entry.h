// What the scan found at one path.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "cluster/relation_file.h"
#include "format/manifest.h"

namespace backup_ext {

struct ScannedEntry {
  ManifestEntry entry;  // without map and content; attributes as lstat(2) gave them
  std::optional<RelationFileName> relation;
  uint32_t database_oid = 0;
  bool is_relation_map = false;  // the server reads it, under its lock
  bool follows_link = false;     // a configuration file that is a symbolic link
};

// Size, mode, owner, inode and times.
inline void SetAttributes(const struct stat& status, Microseconds read_at, ManifestEntry* entry) {
  constexpr int64_t kNanoseconds = 1'000'000'000;
  entry->mode = status.st_mode & 07777;
  entry->uid = status.st_uid;
  entry->gid = status.st_gid;
  entry->size_bytes = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  entry->inode = status.st_ino;
  entry->mtime_ns = status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec;
  entry->ctime_ns = status.st_ctim.tv_sec * kNanoseconds + status.st_ctim.tv_nsec;
  entry->read_at = read_at;
}

}  // namespace backup_ext
