// Holds: what keeps a backup from being removed while it is read.
#include "store/hold.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "format/names.h"
#include "store/file_lock.h"

namespace backup_ext {
namespace {

constexpr int kTakeAttempts = 50;
constexpr int kTakePauseMs = 20;
constexpr int kOpenFlags = O_NONBLOCK | O_NOCTTY;

Error NoSuchBackup(std::string_view backup_id) {
  return Error(ErrorCode::kNotFound, fmt::format("backup \"{}\" does not exist", backup_id), {},
               "See the list of backups: SELECT * FROM backup_list().");
}

}  // namespace

BackupHold BackupHold::Take(const Repository& repository, std::string_view backup_id) {
  if (!IsBackupId(backup_id)) throw NoSuchBackup(backup_id);
  const RootedDirectory root(repository.location());
  const std::string name = RecordName(backup_id);
  std::optional<FileDescriptor> record = root.OpenIfExists(name, O_RDONLY | kOpenFlags);
  if (!record) throw NoSuchBackup(backup_id);
  // Who removes a backup takes its record away at once, or lets go of it.
  for (int attempt = 0; attempt < kTakeAttempts; ++attempt) {
    const LockResult result = TryLockFile(record->get(), LockKind::kShared);
    // It may have been removed between our open and our lock.
    if (!NamesSameFile(root, name, record->get())) throw NoSuchBackup(backup_id);
    if (result != LockResult::kRefused) return BackupHold(*std::move(record));
    usleep(kTakePauseMs * 1000);
  }
  throw Error(ErrorCode::kLocked, fmt::format("backup \"{}\" is being removed", backup_id));
}

std::optional<RemovalHold> RemovalHold::TryTake(const Repository& repository,
                                                std::string_view backup_id) {
  const RootedDirectory root(repository.location());
  const std::string name = RecordName(backup_id);
  // Open for writing because the lock wants it; nothing is written.
  std::optional<FileDescriptor> record = root.OpenIfExists(name, O_RDWR | kOpenFlags);
  if (!record) return std::nullopt;
  switch (TryLockFile(record->get(), LockKind::kExclusive)) {
    case LockResult::kLocked:
      return RemovalHold(std::string(backup_id), *std::move(record));
    case LockResult::kRefused:
      return std::nullopt;
    case LockResult::kUnsupported:
      break;
  }
  throw SystemError(fmt::format("lock file \"{}\"", root.PathOf(name)), errno);
}

Error BackupIsHeld(std::string_view backup_id) {
  return Error(ErrorCode::kLocked, fmt::format("backup \"{}\" is being read", backup_id),
               "A restore or a verify holds it.",
               "Wait until that has finished, or cancel it: SELECT * FROM backup_progress().");
}

bool IsHeld(const Repository& repository, std::string_view backup_id) {
  const RootedDirectory root(repository.location());
  const std::optional<FileDescriptor> record =
      root.OpenIfExists(RecordName(backup_id), O_RDONLY | kOpenFlags);
  return record && IsFileLocked(record->get());
}

}  // namespace backup_ext
