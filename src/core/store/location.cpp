// Where a repository may be: the checks before anything is made or opened.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "store/repository.h"
#include "store/rooted_directory.h"

namespace backup_ext {
namespace {

constexpr size_t kLocationLimitBytes = 1000;
constexpr std::string_view kAccessHint =
    "The user that runs the server must be able to write there. Change the owner or the mode of "
    "the directory, or set backup_ext.repository to another one.";
constexpr std::string_view kOutsideHint =
    "The repository must be outside the data directory and every tablespace, so that losing them "
    "does not lose the backups. Set backup_ext.repository to another directory.";

bool HasParentComponent(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
  return false;
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

bool IsSameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// By inode: finds what bind mounts hide from a comparison of paths. `path` is resolved.
bool HasAncestorOrSelf(std::string path, const struct stat& wanted) {
  while (true) {
    const std::optional<struct stat> status = StatFile(path);
    if (status && IsSameFile(*status, wanted)) return true;
    if (path == "/" || path.empty()) return false;
    path = ParentDirectory(path);
  }
}

void CheckAccess(const std::string& path, std::string_view what) {
  if (faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) == 0) return;
  const Error error = SystemError(fmt::format("write to {} \"{}\"", what, path), errno);
  throw Error(error.code(), error.message(), {}, std::string(kAccessHint));
}

void CheckExisting(const std::string& location, const struct stat& status) {
  if (!S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("repository \"{}\" is not a directory", location), {},
                "Set backup_ext.repository to a directory.");
  }
  CheckOnlyOursToWrite(location, status);
  CheckAccess(location, "repository");
}

void CheckMissing(const std::string& location) {
  if (StatLink(location)) {
    throw Error(ErrorCode::kNoRepository,
                fmt::format("repository \"{}\" is a symbolic link to nothing", location), {},
                "Create the directory that it points to, or mount its file system.");
  }
  const std::string parent = ParentDirectory(location);
  const std::optional<struct stat> status = StatFile(parent);
  if (!status) {
    throw Error(ErrorCode::kNoRepository,
                fmt::format("could not find the parent directory \"{}\" of repository \"{}\"",
                            parent, location),
                {},
                "Create it, or mount its file system. Only the last part of a repository's path "
                "is made when it is missing.");
  }
  if (!S_ISDIR(status->st_mode)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("parent \"{}\" of repository \"{}\" is not a directory", parent, location), {},
        "Set backup_ext.repository to a path below a directory.");
  }
  CheckAccess(parent, "the repository's parent directory");
}

std::string ResolveLocation(const std::string& location) {
  try {
    return ResolvePath(location);
  } catch (const Error& error) {
    throw Error(error.code(), error.message(), error.detail(), std::string(kAccessHint));
  }
}

void CheckApart(const std::string& location, const std::string& forbidden) {
  const std::string resolved = ResolveLocation(location);
  const std::string other = ResolvePath(forbidden);
  const std::optional<struct stat> location_status = StatFile(resolved);
  const std::optional<struct stat> other_status = StatFile(other);
  if (IsInside(resolved, other) || (other_status && HasAncestorOrSelf(resolved, *other_status))) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("repository \"{}\" cannot be inside directory \"{}\"", location, forbidden), {},
        std::string(kOutsideHint));
  }
  if (IsInside(other, resolved) ||
      (location_status && HasAncestorOrSelf(other, *location_status))) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("repository \"{}\" cannot contain directory \"{}\"", location, forbidden), {},
        std::string(kOutsideHint));
  }
}

}  // namespace

std::string CheckLocationText(std::string_view location) {
  if (location.starts_with("s3://")) return "object storage is not supported by this version";
  if (!location.starts_with('/')) return "repository must be an absolute path";
  if (location.find_first_not_of('/') == std::string_view::npos) {
    return "repository cannot be the root directory";
  }
  if (location.size() > kLocationLimitBytes) {
    return fmt::format("repository must be at most {} bytes long", kLocationLimitBytes);
  }
  if (HasParentComponent(location)) return "repository must not contain \"..\"";
  if (std::ranges::any_of(location, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    return "repository must not contain control characters";
  }
  return {};
}

void CheckLocation(const std::string& location, const std::vector<std::string>& forbidden) {
  if (std::string problem = CheckLocationText(location); !problem.empty()) {
    throw Error(ErrorCode::kInvalidArgument, std::move(problem), {},
                "Set backup_ext.repository to an absolute path outside the data directory.");
  }
  const std::string path = WithoutTrailingSlashes(location);
  for (const std::string& directory : forbidden) CheckApart(path, directory);
  if (const std::optional<struct stat> status = StatFile(path)) {
    CheckExisting(path, *status);
  } else {
    CheckMissing(path);
  }
}

}  // namespace backup_ext
