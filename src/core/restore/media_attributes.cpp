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

constexpr uint32_t kMediaModeMask = 07777;
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

bool MediaAttributes::IsGiven(int result, const std::string& path) {
  if (result == 0) return true;
  if (errno != EPERM) throw SystemError(fmt::format("change owner of \"{}\"", path), errno);
  ++owners_lost_;
  return false;
}

void MediaAttributes::SetAttributes(int fd, const ManifestEntry& entry, AttributesOf whose,
                                    const std::string& path) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name.starts_with("user.") != (whose == AttributesOf::kUser)) continue;
    // A label of the system's security policy, which sets its own here.
    if (SetExtendedAttribute(fd, name, value, path) || name == "security.selinux") continue;
    ++attributes_lost_;
  }
}

void MediaAttributes::Apply(int fd, const ManifestEntry& entry, const std::string& path) {
  // A user's attributes are set by who may write to it, the others go when the owner changes.
  SetAttributes(fd, entry, AttributesOf::kUser, path);
  const bool is_given = IsGiven(fchown(fd, entry.uid, entry.gid), path);
  SetAttributes(fd, entry, AttributesOf::kSystem, path);
  uint32_t mode = entry.mode & kMediaModeMask;
  // A repository must not be a way to run programs as somebody else.
  const bool loses_bits = entry.kind == EntryKind::kFile && (mode & kSetIdBits) != 0 &&
                          (!is_given || entry.uid != getuid());
  if (loses_bits) {
    mode &= ~kSetIdBits;
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
  (void)IsGiven(fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW), path);
  if (utimensat(parent, name.c_str(), TimesOf(entry).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw SystemError(fmt::format("set the times of \"{}\"", path), errno);
  }
}

}  // namespace backup_ext
