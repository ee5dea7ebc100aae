// The writer's lock of a repository: one backup or expiry at a time.
#include "store/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "store/file_lock.h"
#include "store/rooted_directory.h"

namespace backup_ext {
namespace {

constexpr size_t kHolderLimitBytes = 1000;
constexpr int kOpenAttempts = 100;

std::string LockName() { return std::string(kLocksPrefix) + "writer.lock"; }

FileDescriptor OpenLockFile(RootedDirectory* root, const std::string& name) {
  const std::string directory = name.substr(0, name.rfind('/'));
  for (int attempt = 0; attempt < kOpenAttempts; attempt++) {
    static_cast<void>(root->EnsureDirectory(directory));
    std::optional<FileDescriptor> file =
        root->OpenIfExists(name, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, kRepositoryFileMode);
    if (!file) continue;  // the directory went away in between
    struct stat status;
    if (fstat(file->get(), &status) != 0) {
      throw SystemError(fmt::format("read the status of \"{}\"", root->PathOf(name)), errno);
    }
    // We are going to write to it: a second name may be that of somebody's precious file.
    if (!S_ISREG(status.st_mode) || status.st_nlink > 1) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("lock file \"{}\" is not a file of its own", root->PathOf(name)), {},
                  "Find out who put it there, and remove it.");
    }
    if (fchmod(file->get(), kRepositoryFileMode) != 0) {
      throw SystemError(fmt::format("set permissions of \"{}\"", root->PathOf(name)), errno);
    }
    return *std::move(file);
  }
  throw SystemError(fmt::format("open lock file \"{}\"", root->PathOf(name)), ENOENT);
}

// False when somebody else holds it.
bool TryLock(int fd, const std::string& path) {
  const LockResult result = TryLockFile(fd, LockKind::kExclusive);
  if (result != LockResult::kUnsupported) return result == LockResult::kLocked;
  const Error error = SystemError(fmt::format("lock file \"{}\"", path), errno);
  throw Error(error.code(), error.message(), {},
              "The repository must be on a file system that supports locks.");
}

// For a message, so nothing in it is believed: one line of printable bytes.
std::string ReadHolder(int fd, const std::string& path) {
  Bytes bytes(kHolderLimitBytes);
  bytes.resize(ReadAt(fd, bytes.data(), bytes.size(), 0, path));
  std::string holder(AsText(bytes));
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  std::ranges::replace_if(
      holder, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return holder;
}

// Written over what was there, and only then cut: on a full file system the old bytes' block is
// used again. When there is no room all the same, the lock holds without its text: what frees
// space must not need space.
void WriteHolder(int fd, const std::string& holder, const std::string& path) {
  const std::string text = holder.substr(0, kHolderLimitBytes - 1) + "\n";
  size_t size = text.size();
  try {
    WriteAllAt(fd, AsBytes(text), 0, path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoSpace) throw;
    size = 0;
  }
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
    throw SystemError(fmt::format("truncate file \"{}\"", path), errno);
  }
}

class FileWriterLock : public WriterLock {
 public:
  FileWriterLock(std::unique_ptr<RootedDirectory> root, FileDescriptor file)
      : root_(std::move(root)), file_(std::move(file)) {}

  void Check() const override {
    root_->CheckStillThere();
    if (NamesSameFile(*root_, LockName(), file_.get())) return;
    throw Error(ErrorCode::kLocked,
                fmt::format("lock of repository \"{}\" was lost", root_->path()),
                fmt::format("The file \"{}\" was removed or replaced while we held its lock.",
                            root_->PathOf(LockName())),
                "Nothing was committed. Do not remove lock files: a lock ends with its holder.");
  }

 private:
  std::unique_ptr<RootedDirectory> root_;
  FileDescriptor file_;
};

}  // namespace

std::unique_ptr<WriterLock> WriterLock::Acquire(const Repository& repository,
                                                const std::string& holder) {
  auto root = std::make_unique<RootedDirectory>(repository.location());
  const std::string name = LockName();
  const std::string path = root->PathOf(name);
  for (int attempt = 0; attempt < kOpenAttempts; attempt++) {
    FileDescriptor file = OpenLockFile(root.get(), name);
    if (!TryLock(file.get(), path)) {
      const std::string other = ReadHolder(file.get(), path);
      throw Error(
          ErrorCode::kLocked,
          fmt::format("repository \"{}\" is locked by another writer", repository.location()),
          other.empty() ? "" : fmt::format("The lock is held by {}.", other),
          "Wait until it has finished, or cancel it.");
    }
    // Somebody may have replaced the file between our open and our lock.
    if (!NamesSameFile(*root, name, file.get())) continue;
    WriteHolder(file.get(), holder, path);
    return std::make_unique<FileWriterLock>(std::move(root), std::move(file));
  }
  throw Error(ErrorCode::kLocked,
              fmt::format("could not lock repository \"{}\"", repository.location()),
              fmt::format("The file \"{}\" keeps being replaced.", path));
}

}  // namespace backup_ext
