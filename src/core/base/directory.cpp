// Directories: reading, making and removing them.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

// Reads all names before anything is done with them: a directory that changes under readdir() may
// show a name twice or not at all.
std::vector<DirectoryEntry> ReadEntries(DIR* directory, const std::string& path) {
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(directory);
    if (entry == nullptr) {
      if (errno != 0) {
        ThrowSystemError("read directory", path, errno);
      }
      return entries;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      entries.push_back({std::string(name), entry->d_type});
    }
  }
}

// `name` below the descriptor `parent`; `path` is for messages only. A descriptor a level: nothing
// that is renamed or replaced by a link meanwhile can lead elsewhere.
void RemoveTreeAt(int parent, const std::string& name, const std::string& path) {
  const int fd = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) {
      return;
    }
    ThrowSystemError("open directory", path, errno);
  }
  const DirectoryStream directory(fdopendir(fd));
  if (directory == nullptr) {
    const FileDescriptor closed_at_once(fd);
    ThrowSystemError("open directory", path, errno);
  }
  for (const DirectoryEntry& entry : ReadEntries(directory.get(), path)) {
    const std::string entry_path = JoinPath(path, entry.name);
    bool is_directory = entry.type == DT_DIR;
    if (!is_directory && unlinkat(fd, entry.name.c_str(), 0) != 0 && errno != ENOENT) {
      if (errno != EISDIR) {
        ThrowSystemError("remove file", entry_path, errno);
      }
      is_directory = true;
    }
    if (is_directory) {
      RemoveTreeAt(fd, entry.name, entry_path);
    }
  }
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    ThrowSystemError("remove directory", path, errno);
  }
}

}  // namespace

std::optional<std::vector<DirectoryEntry>> ReadDirectory(const std::string& path) {
  const DirectoryStream directory(opendir(path.c_str()));
  if (directory == nullptr) {
    if (errno == ENOENT) {
      return std::nullopt;
    }
    ThrowSystemError("open directory", path, errno);
  }
  std::vector<DirectoryEntry> entries = ReadEntries(directory.get(), path);
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return entries;
}

std::optional<struct stat> StatLink(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) == 0) {
    return status;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return std::nullopt;
  }
  ThrowSystemError("stat file", path, errno);
}

std::optional<struct stat> StatFile(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    return status;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return std::nullopt;
  }
  ThrowSystemError("stat file", path, errno);
}

std::string ReadLink(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  while (true) {
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    if (length < 0) {
      ThrowSystemError("read symbolic link", path, errno);
    }
    if (static_cast<size_t>(length) < target.size()) {
      target.resize(static_cast<size_t>(length));
      return target;
    }
    target.resize(target.size() * 2);  // it may have been cut
  }
}

std::optional<std::string> ReadLinkIfExists(const std::string& path) {
  try {
    return ReadLink(path);
  } catch (const Error&) {
    const auto status = StatLink(path);
    if (status && S_ISLNK(status->st_mode)) throw;
    return std::nullopt;
  }
}

bool MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), 0700) == 0) {
    ScopeExit remove([&path] { (void)rmdir(path.c_str()); });
    const FileDescriptor directory = OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fchmod(directory.get(), mode) != 0) {
      ThrowSystemError("set permissions of directory", path, errno);
    }
    SyncDirectory(ParentDirectory(path));
    remove.Release();
    return true;
  }
  const int error_number = errno;
  const std::optional<struct stat> found = StatFile(path);
  if (error_number != EEXIST || !found || !S_ISDIR(found->st_mode)) {
    ThrowSystemError("create directory", path, error_number);
  }
  // Whoever made it, another thread or a process that was killed, may not have come to this yet.
  try {
    SyncDirectory(ParentDirectory(path));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kPermissionDenied) {
      throw;
    }
  }
  return false;
}

void MakeDirectories(const std::string& path, mode_t mode) {
  const std::string parent = ParentDirectory(path);
  if (!parent.empty() && parent != path && !StatFile(parent)) {
    MakeDirectories(parent, mode);
  }
  MakeDirectory(path, mode);
}

void RemoveTree(const std::string& path) { RemoveTreeAt(AT_FDCWD, path, path); }

uint64_t FreeBytes(const std::string& path) {
  struct statvfs status;
  int result;
  do {
    result = statvfs(path.c_str(), &status);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    ThrowSystemError("read free space of", path, errno);
  }
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace backup_ext
