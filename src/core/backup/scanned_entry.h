// What the scan found at one path.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cluster/relation_file.h"
#include "format/manifest.h"

namespace backup_ext {

// Where a file lies that does not belong to the data directory.
struct MediaPlace {
  int root = -1;          // descriptor of its media directory
  std::string path;       // below that; empty for itself
  std::string disk_path;  // for messages
  // The last look of this backup: what changes while it is read is read again, and of what is gone
  // by then the backup keeps what the look before saw.
  bool is_last_look = false;
};

struct ScannedEntry {
  ManifestEntry entry;  // without map and content; attributes as lstat(2) gave them
  std::optional<RelationFileName> relation;
  uint32_t database_oid = 0;
  bool is_relation_map = false;  // the server reads it, under its lock
  bool follows_link = false;     // a configuration file that is a symbolic link
  std::optional<MediaPlace> media;
};

// Blocks of 512 bytes, whatever the file system's are.
[[nodiscard]] inline FileKind KindOfMedia(const struct stat& status) {
  const bool has_holes = S_ISREG(status.st_mode) && status.st_blocks * 512 < status.st_size;
  return has_holes ? FileKind::kSparse : FileKind::kOther;
}

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
