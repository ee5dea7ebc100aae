// Holds: what keeps a backup from being removed while it is read.
//
// A lock of the operating system on the backup's record: readers share it, who removes the backup
// needs it alone. It ends with the process that holds it, however that ends, and needs no room and
// no permission to write. doc/repository_format.md, "Hold".
//
// A restore, a verify or an export holds the backup from before it reads the manifest to its end:
//   const BackupHold hold = BackupHold::Take(repository, record.backup_id);
// All packs of a held backup stay: its record stays, and that lists them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "store/repository.h"

namespace backup_ext {

class BackupHold {
 public:
  // Throws Error(kNotFound) when there is no such backup (any more), Error(kLocked) when somebody
  // takes long to remove it. Where the file system knows no locks there is no hold, and no
  // writer's lock either.
  [[nodiscard]] static BackupHold Take(const Repository& repository, std::string_view backup_id);

 private:
  explicit BackupHold(FileDescriptor record) : record_(std::move(record)) {}

  FileDescriptor record_;
};

// The other side: while it lives nobody can begin to read the backup.
class RemovalHold {
 public:
  // Nothing while somebody reads the backup, or when there is no record. Throws Error.
  [[nodiscard]] static std::optional<RemovalHold> TryTake(const Repository& repository,
                                                          std::string_view backup_id);
  [[nodiscard]] const std::string& backup_id() const { return backup_id_; }

 private:
  RemovalHold(std::string backup_id, FileDescriptor record)
      : backup_id_(std::move(backup_id)), record_(std::move(record)) {}

  std::string backup_id_;
  FileDescriptor record_;
};

// `backup "..." is being read`, with what to do about it.
[[nodiscard]] Error BackupIsHeld(std::string_view backup_id);

// Whether somebody reads the backup now. For messages and previews: it may change at once.
[[nodiscard]] bool IsHeld(const Repository& repository, std::string_view backup_id);

}  // namespace backup_ext
