// Root works as the user whose repository it is.
#include "become_owner.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {

void BecomeOwnerOf(const std::string& location) {
  if (geteuid() != 0) return;
  const auto status = StatFile(location);
  if (!status || status->st_uid == 0) return;
  // A user without an entry (in a container) has no other groups.
  const struct passwd* const user = getpwuid(status->st_uid);
  const gid_t group = user != nullptr ? user->pw_gid : status->st_gid;
  const std::string name =
      user != nullptr ? user->pw_name : fmt::format("with id {}", status->st_uid);
  const int groups =
      user != nullptr ? initgroups(user->pw_name, group) : setgroups(1, &status->st_gid);
  if (groups != 0 || setresgid(group, group, group) != 0 ||
      setresuid(status->st_uid, status->st_uid, status->st_uid) != 0) {
    throw SystemError(fmt::format("become user {}, who owns repository \"{}\"", name, location),
                      errno);
  }
  fmt::print(stderr, "backup_ext: note: works as user {}, who owns the repository\n", name);
}

}  // namespace backup_ext
