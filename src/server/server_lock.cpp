// A lock that tells of this server to processes that cannot see it.
#include "server_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include "postgres_headers.h"

namespace backup_ext {

// An open file description lock: children have it by the descriptor that they inherit, programs
// that they execute do not, and it ends with the last of them however that ends.
void LockPostmasterFile() {
  const int fd = open("postmaster.pid", O_RDONLY | O_CLOEXEC);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0) {
    ReserveExternalFD();
    return;
  }
  ereport(LOG, (errmsg("backup_ext: could not lock file \"postmaster.pid\": %m"),
                errdetail("From another container \"backup_ext activate\" cannot see that this "
                          "server runs.")));
  if (fd >= 0) close(fd);
}

}  // namespace backup_ext
