// Locks of the operating system on files of a repository.
#include "store/file_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace backup_ext {

namespace {

// The result of fcntl() on the whole file; `*lock` is what it left.
int LockCommand(int fd, int command, int type, struct flock* lock) {
  *lock = {};
  lock->l_type = static_cast<short>(type);
  lock->l_whence = SEEK_SET;  // from 0 on, the whole file
  int result;
  do {
    result = fcntl(fd, command, lock);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

LockResult TryLockFile(int fd, LockKind kind) {
  struct flock lock;
  const int type = kind == LockKind::kShared ? F_RDLCK : F_WRLCK;
  if (LockCommand(fd, F_OFD_SETLK, type, &lock) == 0) return LockResult::kLocked;
  return errno == EAGAIN || errno == EACCES ? LockResult::kRefused : LockResult::kUnsupported;
}

bool IsFileLocked(int fd) {
  struct flock lock;
  return LockCommand(fd, F_OFD_GETLK, F_WRLCK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool NamesSameFile(const RootedDirectory& root, const std::string& name, int fd) {
  const std::optional<FileDescriptor> named =
      root.OpenIfExists(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat held_status, named_status;
  return named && fstat(fd, &held_status) == 0 && fstat(named->get(), &named_status) == 0 &&
         held_status.st_dev == named_status.st_dev && held_status.st_ino == named_status.st_ino;
}

}  // namespace backup_ext
