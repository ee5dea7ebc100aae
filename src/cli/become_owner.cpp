// Root works as the user whose repository or data directory it is.
#include "become_owner.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

#include "output.h"

namespace backup_ext {
namespace {

// Owner, mode and times of a file that is somebody else's by then; not what lets one read or write
// it. Inherited by threads. Where a container withholds them, owners are not restored, which is
// told.
void KeepRightsToGiveFilesAway() {
  constexpr uint32_t kRights = 1U << CAP_CHOWN | 1U << CAP_FOWNER | 1U << CAP_FSETID;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct rights[2] = {{kRights, kRights, 0}, {0, 0, 0}};
  (void)syscall(SYS_capset, &header, rights);
}

}  // namespace

void BecomeOwnerOf(const std::string& location, std::string_view what, RootRights rights) {
  if (geteuid() != 0) return;
  const auto status = StatFile(location);
  if (!status || status->st_uid == 0) return;
  // A user without an entry (in a container) has no other groups.
  const struct passwd* const user = getpwuid(status->st_uid);
  const gid_t group = user != nullptr ? user->pw_gid : status->st_gid;
  const std::string name =
      user != nullptr ? user->pw_name : fmt::format("with id {}", status->st_uid);
  const bool keeps_rights =
      rights == RootRights::kGiveFilesAway && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0;
  const int groups =
      user != nullptr ? initgroups(user->pw_name, group) : setgroups(1, &status->st_gid);
  if (groups != 0 || setresgid(group, group, group) != 0 ||
      setresuid(status->st_uid, status->st_uid, status->st_uid) != 0) {
    throw SystemError(fmt::format("become user {}, who owns {} \"{}\"", name, what, location),
                      errno);
  }
  if (keeps_rights) KeepRightsToGiveFilesAway();
  PrintToStandardError(
      fmt::format("backup_ext: note: works as user {}, who owns the {}\n", name, what));
}

}  // namespace backup_ext
