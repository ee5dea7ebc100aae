// Owner, mode, times and extended attributes of restored media.
#include "restore/media_attributes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/extended_attributes.h"

namespace backup_ext {
namespace {

constexpr uint32_t kModeMask = 07777;
// Of a program that belongs to somebody else now: it would run as the wrong one.
constexpr uint32_t kSetIdBits = 06000;

std::array<timespec, 2> TimesOf(const ManifestEntry& entry) {
  constexpr int64_t kNanoseconds = 1'000'000'000;
  int64_t seconds = entry.mtime_ns / kNanoseconds;
  int64_t rest = entry.mtime_ns % kNanoseconds;
  if (rest < 0) {  // before 1970
    rest += kNanoseconds;
    --seconds;
  }
  return {{{0, UTIME_OMIT}, {seconds, rest}}};
}

}  // namespace

bool MediaAttributes::CanKeepOwner(const ManifestEntry& entry) {
  if (geteuid() == 0) return true;
  const bool is_ours = entry.uid == geteuid() && entry.gid == getegid();
  if (!is_ours) ++owners_lost_;
  return is_ours;
}

void MediaAttributes::Apply(int fd, const ManifestEntry& entry, const std::string& path) {
  uint32_t mode = entry.mode & kModeMask;
  if (!CanKeepOwner(entry)) {
    if (entry.kind == EntryKind::kFile) mode &= ~kSetIdBits;
  } else if (fchown(fd, entry.uid, entry.gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", path), errno);
  }
  for (const auto& [name, value] : entry.xattrs) {
    // A label of the system's security policy, which sets its own here.
    if (SetExtendedAttribute(fd, name, value, path) || name == "security.selinux") continue;
    ++attributes_lost_;
  }
  if (fchmod(fd, mode) != 0) {
    throw SystemError(fmt::format("set permissions of \"{}\"", path), errno);
  }
  if (futimens(fd, TimesOf(entry).data()) != 0) {
    throw SystemError(fmt::format("set the times of \"{}\"", path), errno);
  }
}

void MediaAttributes::ApplyToLink(int parent, const std::string& name, const ManifestEntry& entry,
                                  const std::string& path) {
  if (CanKeepOwner(entry) &&
      fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", path), errno);
  }
  if (utimensat(parent, name.c_str(), TimesOf(entry).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw SystemError(fmt::format("set the times of \"{}\"", path), errno);
  }
}

}  // namespace backup_ext
