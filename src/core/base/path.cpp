// Paths as text, and their resolution against the file system.
#include <unistd.h>

#include <cerrno>
#include <deque>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

constexpr int kLinkLimit = 40;  // what Linux follows in one path

std::string_view WithoutTrailingSlashes(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') {
    path.remove_suffix(1);
  }
  return path;
}

// Puts the components of `path` in front of `*components`.
void PrependComponents(std::string_view path, std::deque<std::string>* components) {
  std::deque<std::string> front;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (slash != 0) {
      front.emplace_back(path.substr(0, slash));
    }
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  components->insert(components->begin(), front.begin(), front.end());
}

std::string CurrentDirectory() {
  std::string buffer(4096, '\0');
  while (getcwd(buffer.data(), buffer.size()) == nullptr) {
    if (errno != ERANGE) {
      throw SystemError("read current directory", errno);
    }
    buffer.resize(buffer.size() * 2);
  }
  return buffer.c_str();
}

// True when `inner`, or a directory above it, is the directory that `outer` describes.
bool LiesInByInode(const std::string& inner, const struct stat& outer) {
  for (std::string path = inner;; path = ParentDirectory(path)) {
    const auto status = StatFile(path);
    if (status && status->st_dev == outer.st_dev && status->st_ino == outer.st_ino) return true;
    if (path == "/" || path.empty()) return false;
  }
}

}  // namespace

std::string ParentDirectory(std::string_view path) {
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return {};
  }
  return std::string(slash == 0 ? "/" : WithoutTrailingSlashes(path.substr(0, slash)));
}

std::string BaseName(std::string_view path) {
  path = WithoutTrailingSlashes(path);
  return std::string(path == "/" ? path : path.substr(path.rfind('/') + 1));
}

std::string JoinPath(std::string_view a, std::string_view b) {
  std::string joined(a);
  if (!joined.empty() && joined.back() != '/') {
    joined += '/';
  }
  return joined.append(b);
}

// Walks by hand, because realpath(3) gives up at a link that leads to nothing yet: whoever writes
// through such a link writes at its target.
std::string ResolvePath(const std::string& path) {
  std::deque<std::string> left;
  PrependComponents(path, &left);
  if (path.empty() || path.front() != '/') {
    PrependComponents(CurrentDirectory(), &left);
  }
  std::string resolved = "/";
  int links = 0;
  while (!left.empty()) {
    const std::string component = std::move(left.front());
    left.pop_front();
    if (component == ".") {
      continue;
    }
    if (component == "..") {
      resolved = ParentDirectory(resolved);
      continue;
    }
    std::string candidate = JoinPath(resolved, component);
    const std::optional<struct stat> status = StatLink(candidate);
    if (!status || !S_ISLNK(status->st_mode)) {
      resolved = std::move(candidate);
      continue;
    }
    if (++links > kLinkLimit) {
      throw SystemError("resolve path \"" + path + "\"", ELOOP);
    }
    const std::string target = ReadLink(candidate);
    PrependComponents(target, &left);
    if (!target.empty() && target.front() == '/') {
      resolved.assign(1, '/');
    }
  }
  return resolved;
}

bool IsInside(std::string_view path, std::string_view directory) {
  if (directory == "/") {
    return !path.empty() && path.front() == '/';
  }
  return path.substr(0, directory.size()) == directory &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

bool DirectoriesOverlap(const std::string& a, const std::string& b) {
  const std::string resolved_a = ResolvePath(a);
  const std::string resolved_b = ResolvePath(b);
  if (IsInside(resolved_a, resolved_b) || IsInside(resolved_b, resolved_a)) return true;
  const auto status_a = StatFile(resolved_a);
  const auto status_b = StatFile(resolved_b);
  return (status_b && LiesInByInode(resolved_a, *status_b)) ||
         (status_a && LiesInByInode(resolved_b, *status_a));
}

}  // namespace backup_ext
