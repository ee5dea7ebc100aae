// A local directory held open by descriptor, and what can be done below it without leaving it.
#include "store/rooted_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace backup_ext {
namespace {

// What the operating system refuses below a repository, with what to do about a refused access.
Error AccessError(std::string_view attempt, int error_number) {
  Error error = SystemError(attempt, error_number);
  if (error.code() != ErrorCode::kPermissionDenied) return error;
  return Error(
      error.code(), error.message(), {},
      "The user that runs this must be able to read and write the whole repository. Change "
      "the owner or the mode of its directories and files.");
}

// How often a step is tried again that lost a race against somebody removing empty directories.
constexpr int kRaceAttempts = 100;

std::vector<std::string> SplitComponents(std::string_view name) {
  std::vector<std::string> components;
  while (true) {
    const size_t slash = name.find('/');
    components.emplace_back(name.substr(0, slash));
    if (slash == std::string_view::npos) return components;
    name.remove_prefix(slash + 1);
  }
}

bool IsPlainComponent(std::string_view component) {
  return !component.empty() && component != "." && component != "..";
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};
using DirectoryStream = std::unique_ptr<DIR, DirectoryCloser>;

DirectoryStream OpenStream(int directory_fd, const std::string& path) {
  // A descriptor of its own: duplicates share one read position, which two threads would disturb.
  const int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DirectoryStream stream(fd < 0 ? nullptr : fdopendir(fd));
  if (stream == nullptr) {
    const int error_number = errno;
    if (fd >= 0) close(fd);
    throw AccessError(fmt::format("open directory \"{}\"", path), error_number);
  }
  return stream;
}

unsigned char TypeOf(int directory_fd, const char* name) {
  struct stat status;
  if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
  return IFTODT(status.st_mode);
}

}  // namespace

FileDescriptor OpenBeneath(int directory_fd, const std::string& name, int flags, mode_t mode) {
  struct open_how how = {};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;  // openat2 refuses a mode that means nothing
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  for (int attempt = 0; attempt < kRaceAttempts; attempt++) {
    const long fd = syscall(SYS_openat2, directory_fd, name.c_str(), &how, sizeof(how));
    if (fd >= 0) return FileDescriptor(static_cast<int>(fd));
    // Old kernels say ENOSYS, and some container sandboxes EPERM for a call that they do not know.
    if (errno == ENOSYS || errno == EPERM) {
      return OpenBeneathByComponent(directory_fd, name, flags, mode);
    }
    if (errno != EINTR && errno != EAGAIN) break;
  }
  return FileDescriptor();
}

FileDescriptor OpenBeneathByComponent(int directory_fd, const std::string& name, int flags,
                                      mode_t mode) {
  const std::vector<std::string> components = SplitComponents(name);
  FileDescriptor parent;
  int at = directory_fd;
  for (size_t i = 0; i < components.size(); i++) {
    const std::string& component = components[i];
    const bool is_last = i + 1 == components.size();
    if (!IsPlainComponent(component) && !(component == "." && components.size() == 1)) {
      errno = EXDEV;
      return FileDescriptor();
    }
    const int component_flags = is_last ? flags : O_PATH | O_DIRECTORY;
    int fd;
    do {
      fd = openat(at, component.c_str(), component_flags | O_NOFOLLOW | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
      // O_DIRECTORY hides a link behind ENOTDIR: a link must not look like something missing.
      if (errno == ENOTDIR) errno = TypeOf(at, component.c_str()) == DT_LNK ? ELOOP : ENOTDIR;
      return FileDescriptor();
    }
    parent = FileDescriptor(fd);
    at = fd;
  }
  return parent;
}

int MoveWithoutReplacing(int from_directory, const std::string& from_name, int to_directory,
                         const std::string& to_name) {
  if (renameat2(from_directory, from_name.c_str(), to_directory, to_name.c_str(),
                RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return errno;
  return LinkWithoutReplacing(from_directory, from_name, to_directory, to_name);
}

int LinkWithoutReplacing(int from_directory, const std::string& from_name, int to_directory,
                         const std::string& to_name) {
  if (linkat(from_directory, from_name.c_str(), to_directory, to_name.c_str(), 0) != 0) {
    // A network file system may have done it, lost the answer, asked again and got EEXIST.
    const int error_number = errno;
    struct stat from, to;
    if (fstatat(from_directory, from_name.c_str(), &from, AT_SYMLINK_NOFOLLOW) != 0 ||
        fstatat(to_directory, to_name.c_str(), &to, AT_SYMLINK_NOFOLLOW) != 0 ||
        from.st_dev != to.st_dev || from.st_ino != to.st_ino) {
      return error_number;
    }
  }
  // A temporary that stays is swept later; the object is there either way.
  unlinkat(from_directory, from_name.c_str(), 0);
  return 0;
}

void SyncDirectoryDescriptor(int fd, const std::string& path) {
  if (fsync(fd) == 0) return;
  // Some file systems cannot fsync a directory and say so; PostgreSQL accepts that too.
  // Source: src/common/file_utils.c, fsync_fname().
  if (errno == EINVAL || errno == EBADF) return;
  throw AccessError(fmt::format("fsync directory \"{}\"", path), errno);
}

std::vector<DirectoryEntry> ReadEntries(int directory_fd, const std::string& path) {
  const DirectoryStream stream = OpenStream(directory_fd, path);
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const struct dirent* entry = readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) throw AccessError(fmt::format("read directory \"{}\"", path), errno);
      return entries;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN) {
      errno = 0;
      type = TypeOf(directory_fd, entry->d_name);
      // Only what is gone may be passed over: what a listing lacks may be taken for unused.
      if (type == DT_UNKNOWN && errno != ENOENT) {
        throw AccessError(fmt::format("read the status of \"{}/{}\"", path, name), errno);
      }
    }
    if (type != DT_UNKNOWN) entries.push_back({std::string(name), type});
  }
}

void CheckOnlyOursToWrite(const std::string& path, const struct stat& status) {
  if (status.st_uid != geteuid()) {
    throw Error(ErrorCode::kPermissionDenied,
                fmt::format("repository \"{}\" belongs to another user", path),
                fmt::format("The directory belongs to user ID {}, this process runs as user ID {}.",
                            status.st_uid, geteuid()),
                "Run this as the user who owns the directory, or change its owner.");
  }
  if ((status.st_mode & 022) != 0) {
    throw Error(ErrorCode::kPermissionDenied,
                fmt::format("repository \"{}\" can be written to by other users", path),
                fmt::format("The mode of the directory is {:04o}.", status.st_mode & 07777),
                fmt::format("Run \"chmod 0700 {}\".", path));
  }
}

Error MissingRepository(const std::string& path) {
  return Error(ErrorCode::kNoRepository, fmt::format("repository \"{}\" does not exist", path), {},
               "Check the setting backup_ext.repository, and that the file system that holds the "
               "repository is mounted.");
}

RootedDirectory::RootedDirectory(const std::string& path) : path_(path) {
  root_ = FileDescriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root_.valid()) {
    if (errno == ENOENT) throw MissingRepository(path);
    if (errno == ENOTDIR) {
      throw Error(ErrorCode::kNoRepository,
                  fmt::format("repository \"{}\" is not a directory", path), {},
                  "Set backup_ext.repository to a directory.");
    }
    throw AccessError(fmt::format("open repository \"{}\"", path), errno);
  }
  struct stat status;
  if (fstat(root_.get(), &status) != 0) {
    throw AccessError(fmt::format("read the status of repository \"{}\"", path), errno);
  }
  CheckOnlyOursToWrite(path, status);
}

void RootedDirectory::CheckStillThere() const {
  struct stat held, named;
  if (fstat(root_.get(), &held) == 0 && held.st_nlink > 0 && stat(path_.c_str(), &named) == 0 &&
      held.st_dev == named.st_dev && held.st_ino == named.st_ino) {
    return;
  }
  throw Error(ErrorCode::kNoRepository, fmt::format("repository \"{}\" is no longer there", path_),
              "The directory was removed, unmounted or replaced while it was in use.",
              "Mount it or put it back, then try again.");
}

std::optional<FileDescriptor> RootedDirectory::OpenIfExists(const std::string& name, int flags,
                                                            mode_t mode) const {
  FileDescriptor fd = OpenBeneath(root_.get(), name, flags, mode);
  if (fd.valid()) return fd;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  if (errno == ELOOP || errno == EXDEV) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("could not open \"{}\": a symbolic link is in the way", PathOf(name)),
                "A repository holds directories and regular files only.",
                "Find out who put the link there, and remove it.");
  }
  throw AccessError(fmt::format("open \"{}\"", PathOf(name)), errno);
}

std::optional<FileDescriptor> RootedDirectory::OpenDirectory(const std::string& name) const {
  if (!name.empty()) return OpenIfExists(name, O_RDONLY | O_DIRECTORY);
  std::optional<FileDescriptor> root = OpenIfExists(".", O_RDONLY | O_DIRECTORY);
  if (!root) CheckStillThere();  // a removed directory can be held, but not opened
  if (!root) throw AccessError(fmt::format("open repository \"{}\"", path_), ENOENT);
  return root;
}

FileDescriptor RootedDirectory::EnsureDirectory(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (name.empty() || durable_.contains(name)) {
    if (std::optional<FileDescriptor> directory = OpenDirectory(name)) return *std::move(directory);
  }
  for (int attempt = 0; attempt < kRaceAttempts; attempt++) {
    if (std::optional<FileDescriptor> directory = TryEnsureDirectory(name)) {
      return *std::move(directory);
    }
    CheckStillThere();
  }
  throw AccessError(fmt::format("create directory \"{}\"", PathOf(name)), ENOENT);
}

std::optional<FileDescriptor> RootedDirectory::TryEnsureDirectory(const std::string& name) {
  std::optional<FileDescriptor> parent = OpenDirectory("");
  std::string prefix;
  for (const std::string& component : SplitComponents(name)) {
    const std::string parent_path = PathOf(prefix);
    prefix = JoinPath(prefix, component);
    const bool made = mkdirat(parent->get(), component.c_str(), kRepositoryDirectoryMode) == 0 &&
                      // The umask must not take away what we need to go on.
                      fchmodat(parent->get(), component.c_str(), kRepositoryDirectoryMode, 0) == 0;
    if (!made && errno == ENOENT) return std::nullopt;
    if (!made && errno != EEXIST) {
      throw AccessError(fmt::format("create directory \"{}\"", PathOf(prefix)), errno);
    }
    if (made || !durable_.contains(prefix)) {
      SyncDirectoryDescriptor(parent->get(), parent_path);
      durable_.insert(prefix);
    }
    FileDescriptor child = OpenBeneath(parent->get(), component, O_RDONLY | O_DIRECTORY);
    if (!child.valid()) {
      if (errno == ENOENT) return std::nullopt;
      throw AccessError(fmt::format("open directory \"{}\"", PathOf(prefix)), errno);
    }
    parent = std::move(child);
  }
  return parent;
}

void RootedDirectory::RemoveEmptyDirectories(std::string name) {
  const std::lock_guard lock(mutex_);
  while (name.find('/') != std::string::npos) {
    const std::string parent_name = name.substr(0, name.rfind('/'));
    if (const std::optional<FileDescriptor> parent = OpenDirectory(parent_name)) {
      if (unlinkat(parent->get(), BaseName(name).c_str(), AT_REMOVEDIR) == 0) {
        durable_.erase(name);
        SyncDirectoryDescriptor(parent->get(), PathOf(parent_name));
      } else if (errno == ENOTEMPTY || errno == EEXIST) {
        return;
      } else if (errno != ENOENT && errno != ENOTDIR) {
        throw AccessError(fmt::format("remove directory \"{}\"", PathOf(name)), errno);
      }
    }
    name = parent_name;
  }
}

}  // namespace backup_ext
