// Opens what lies below a directory.
#include "base/open_beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace backup_ext {

FileDescriptor OpenBeneath(int root, const std::string& path, int flags) {
  const char* const name = path.empty() ? "." : path.c_str();
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd;
  do {
    fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  // EPERM: also what a container's filter says to a system call that it does not know.
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
    do {
      fd = openat(root, name, flags | O_CLOEXEC | O_NOFOLLOW);
    } while (fd < 0 && errno == EINTR);
  }
  return FileDescriptor(static_cast<int>(fd));
}

}  // namespace backup_ext
