// An ObjectStore in a local directory.
#include "store/directory_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "store/rooted_directory.h"
#include "store/temporary_name.h"

namespace backup_ext {
namespace {

// A writer starts the writing back of what it wrote in steps of this size, so that the fsync at
// the end is short.
constexpr uint64_t kWriteBackBytes = 8ULL * 1024 * 1024;
constexpr int kPublishAttempts = 10;

std::string DirectoryPart(const std::string& name) {
  const size_t slash = name.rfind('/');
  return slash == std::string::npos ? std::string() : name.substr(0, slash);
}

std::string LastPart(const std::string& name) { return name.substr(name.rfind('/') + 1); }

bool IsReserved(std::string_view name) {
  return name == kTemporaryDirectory || name.starts_with(fmt::format("{}/", kTemporaryDirectory));
}

void CheckName(const std::string& name) {
  if (IsObjectName(name) && !IsReserved(name)) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not an object name", name));
}

void CheckPrefix(const std::string& prefix) {
  if (prefix.empty()) return;
  if (prefix.ends_with('/') && IsObjectName(prefix.substr(0, prefix.size() - 1)) &&
      !IsReserved(prefix)) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" is not a prefix of object names", prefix));
}

template <typename Step>
auto WithSpaceHint(const Step& step) {
  try {
    return step();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoSpace) throw;
    throw Error(error.code(), error.message(), error.detail(),
                "Free space on the file system that holds the repository, or keep backups for a "
                "shorter time.");
  }
}

class DirectoryWriter : public ObjectWriter {
 public:
  DirectoryWriter(std::shared_ptr<RootedDirectory> root, std::string name)
      : root_(std::move(root)), name_(std::move(name)), path_(root_->PathOf(name_)) {
    temporary_directory_ = root_->EnsureDirectory(std::string(kTemporaryDirectory));
    temporary_name_ = NewTemporaryName();
    file_ = OpenBeneath(temporary_directory_.get(), temporary_name_, O_WRONLY | O_CREAT | O_EXCL,
                        kRepositoryFileMode);
    if (!file_.valid()) throw SystemError(fmt::format("create object \"{}\"", path_), errno);
    if (fchmod(file_.get(), kRepositoryFileMode) != 0) {
      const int error_number = errno;
      Abandon();
      throw SystemError(fmt::format("set permissions of object \"{}\"", path_), error_number);
    }
  }
  ~DirectoryWriter() override { Abandon(); }

  void Append(ByteSpan bytes) override {
    CheckUsable();
    try {
      WithSpaceHint([&] { WriteAll(file_.get(), bytes, path_); });
      size_bytes_ += bytes.size();
      WithSpaceHint([&] { StartWriteBack(); });
    } catch (...) {
      Abandon();
      throw;
    }
  }

  void Commit() override {
    CheckUsable();
    try {
      root_->CheckStillThere();
      // A second fsync after a failed one would report success for bytes that the kernel dropped:
      // on any error the file is thrown away.
      WithSpaceHint([&] { SyncFile(file_.get(), path_); });
      WithSpaceHint([&] { Publish(); });
      root_->CheckStillThere();
    } catch (...) {
      Abandon();
      throw;
    }
    file_.Close();
  }

  [[nodiscard]] uint64_t size_bytes() const override { return size_bytes_; }

 private:
  void CheckUsable() const {
    if (file_.valid()) return;
    throw Error(ErrorCode::kInternal,
                fmt::format("object \"{}\" was committed or thrown away already", path_));
  }

  // SYNC_FILE_RANGE_WRITE alone waits for nothing and takes no error away from the later fsync.
  void StartWriteBack() {
    if (size_bytes_ - written_back_bytes_ < kWriteBackBytes) return;
    const int result = sync_file_range(file_.get(), static_cast<off64_t>(written_back_bytes_),
                                       static_cast<off64_t>(size_bytes_ - written_back_bytes_),
                                       SYNC_FILE_RANGE_WRITE);
    if (result != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) {
      throw SystemError(fmt::format("write file \"{}\"", path_), errno);
    }
    written_back_bytes_ = size_bytes_;
  }

  void Publish() {
    const std::string directory = DirectoryPart(name_);
    const std::string last = LastPart(name_);
    int error_number = ENOENT;
    for (int attempt = 0; attempt < kPublishAttempts && error_number == ENOENT; attempt++) {
      // ENOENT: the directory was empty, and somebody who deleted its last object removed it.
      const FileDescriptor target = root_->EnsureDirectory(directory);
      error_number =
          MoveWithoutReplacing(temporary_directory_.get(), temporary_name_, target.get(), last);
      if (error_number != 0) continue;
      try {
        SyncDirectoryDescriptor(target.get(), root_->PathOf(directory));
      } catch (...) {
        unlinkat(target.get(), last.c_str(), 0);  // visible, but not durable: not an object
        throw;
      }
      return;
    }
    if (error_number == EEXIST) {
      throw Error(
          ErrorCode::kAlreadyExists,
          fmt::format("object \"{}\" of repository \"{}\" exists already", name_, root_->path()));
    }
    throw SystemError(fmt::format("rename a temporary file to \"{}\"", path_), error_number);
  }

  void Abandon() {
    if (!file_.valid()) return;
    unlinkat(temporary_directory_.get(), temporary_name_.c_str(), 0);
    file_.Close();
  }

  std::shared_ptr<RootedDirectory> root_;
  std::string name_;
  std::string path_;
  FileDescriptor temporary_directory_;
  std::string temporary_name_;
  FileDescriptor file_;
  uint64_t size_bytes_ = 0;
  uint64_t written_back_bytes_ = 0;
};

class DirectoryReader : public ObjectReader {
 public:
  DirectoryReader(FileDescriptor file, uint64_t size_bytes, std::string path)
      : file_(std::move(file)), size_bytes_(size_bytes), path_(std::move(path)) {}

  [[nodiscard]] Bytes ReadRange(uint64_t offset_bytes, size_t count) override {
    Bytes bytes;
    ReadRangeInto(offset_bytes, count, &bytes);
    return bytes;
  }

  void ReadRangeInto(uint64_t offset_bytes, size_t count, Bytes* buffer) override {
    // Never allocates more than there is, whatever a damaged manifest asks for.
    const uint64_t left = offset_bytes < size_bytes_ ? size_bytes_ - offset_bytes : 0;
    buffer->resize(static_cast<size_t>(std::min<uint64_t>(count, left)));
    if (buffer->empty()) return;
    buffer->resize(ReadAt(file_.get(), buffer->data(), buffer->size(), offset_bytes, path_));
  }

  [[nodiscard]] uint64_t size_bytes() const override { return size_bytes_; }

 private:
  FileDescriptor file_;
  uint64_t size_bytes_;
  std::string path_;
};

class DirectoryStore : public ObjectStore {
 public:
  explicit DirectoryStore(const std::string& root)
      : root_(std::make_shared<RootedDirectory>(root)) {}

  [[nodiscard]] std::unique_ptr<ObjectWriter> Create(const std::string& name) override {
    CheckName(name);
    root_->CheckStillThere();
    return WithSpaceHint([&] { return std::make_unique<DirectoryWriter>(root_, name); });
  }

  void Put(const std::string& name, ByteSpan bytes) override {
    const std::unique_ptr<ObjectWriter> writer = Create(name);
    writer->Append(bytes);
    writer->Commit();
  }

  [[nodiscard]] std::unique_ptr<ObjectReader> Open(const std::string& name) override {
    CheckName(name);
    root_->CheckStillThere();
    // Without O_NONBLOCK a named pipe put here by somebody would hold us for ever.
    std::optional<FileDescriptor> file =
        root_->OpenIfExists(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file) return nullptr;
    const std::string path = root_->PathOf(name);
    struct stat status;
    if (fstat(file->get(), &status) != 0) {
      throw SystemError(fmt::format("read the status of \"{}\"", path), errno);
    }
    if (S_ISDIR(status.st_mode)) return nullptr;
    if (!S_ISREG(status.st_mode)) {
      throw Error(ErrorCode::kDamaged, fmt::format("\"{}\" is not a regular file", path),
                  "A repository holds directories and regular files only.");
    }
    return std::make_unique<DirectoryReader>(*std::move(file),
                                             static_cast<uint64_t>(status.st_size), path);
  }

  [[nodiscard]] std::optional<Bytes> Get(const std::string& name, uint64_t limit_bytes) override {
    const std::unique_ptr<ObjectReader> reader = Open(name);
    if (reader == nullptr) return std::nullopt;
    if (reader->size_bytes() > limit_bytes) {
      throw Error(
          ErrorCode::kDamaged,
          fmt::format("object \"{}\" of repository \"{}\" is too large", name, root_->path()),
          fmt::format("It holds {} bytes, {} are expected at most.", reader->size_bytes(),
                      limit_bytes));
    }
    return reader->ReadRange(0, static_cast<size_t>(reader->size_bytes()));
  }

  [[nodiscard]] std::vector<ObjectInfo> List(const std::string& prefix) override {
    CheckPrefix(prefix);
    root_->CheckStillThere();
    std::vector<ObjectInfo> objects;
    std::vector<std::string> left = {prefix};
    while (!left.empty()) {
      const std::string directory = std::move(left.back());
      left.pop_back();
      ListDirectory(directory, &objects, &left);
    }
    std::ranges::sort(objects, {}, &ObjectInfo::name);
    return objects;
  }

  // An empty directory that a crash left is listed too; SweepTemporaries removes it.
  [[nodiscard]] std::vector<std::string> ListNames(const std::string& prefix) override {
    CheckPrefix(prefix);
    root_->CheckStillThere();
    std::vector<std::string> names;
    const std::optional<FileDescriptor> directory = root_->OpenDirectory(DirectoryPart(prefix));
    if (!directory) return names;
    for (const DirectoryEntry& entry : ReadEntries(directory->get(), root_->PathOf(prefix))) {
      if (entry.type != DT_DIR && entry.type != DT_REG) continue;
      if (IsListed(prefix + entry.name)) names.push_back(entry.name);
    }
    std::ranges::sort(names);
    return names;
  }

  bool Delete(const std::string& name) override {
    CheckName(name);
    root_->CheckStillThere();
    std::string directory_name = DirectoryPart(name);
    std::optional<FileDescriptor> directory = root_->OpenDirectory(directory_name);
    bool existed = false;
    if (directory) {
      existed = unlinkat(directory->get(), LastPart(name).c_str(), 0) == 0;
      if (!existed && errno != ENOENT && errno != EISDIR) {
        throw SystemError(fmt::format("remove file \"{}\"", root_->PathOf(name)), errno);
      }
    }
    // Even when nothing was there: whoever removed it may have died before the fsync, and our
    // caller goes on as if the removal were durable.
    while (!directory) {
      directory_name = DirectoryPart(directory_name);
      directory = root_->OpenDirectory(directory_name);
    }
    SyncDirectoryDescriptor(directory->get(), root_->PathOf(directory_name));
    root_->RemoveEmptyDirectories(directory_name);
    return existed;
  }

  void SweepTemporaries() override {
    root_->CheckStillThere();
    if (const std::optional<FileDescriptor> temporaries =
            root_->OpenDirectory(std::string(kTemporaryDirectory))) {
      const std::string path = root_->PathOf(std::string(kTemporaryDirectory));
      for (const DirectoryEntry& entry : ReadEntries(temporaries->get(), path)) {
        if (entry.type == DT_DIR || !IsTemporaryName(entry.name)) continue;
        if (unlinkat(temporaries->get(), entry.name.c_str(), 0) != 0 && errno != ENOENT) {
          throw SystemError(fmt::format("remove file \"{}/{}\"", path, entry.name), errno);
        }
      }
    }
    SweepEmptyDirectories();
  }

  [[nodiscard]] std::optional<uint64_t> FreeBytes() override {
    struct statvfs status;
    if (fstatvfs(root_->fd(), &status) != 0) {
      throw SystemError(fmt::format("read the free space of repository \"{}\"", root_->path()),
                        errno);
    }
    const uint64_t block_bytes = status.f_frsize;
    constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
    if (block_bytes != 0 && status.f_bavail > kMost / block_bytes) return kMost;
    return status.f_bavail * block_bytes;
  }

  [[nodiscard]] std::string Describe() const override { return root_->path(); }

 private:
  // What else lies in the directory (lost+found, what others put there) is not ours to see. Nor is
  // what begins with a dot: an NFS client keeps a file that was removed while it is open as .nfs...
  static bool IsListed(const std::string& name) {
    return IsObjectName(name) && !IsReserved(name) && !LastPart(name).starts_with('.');
  }

  // `prefix` is empty or ends with '/'.
  void ListDirectory(const std::string& prefix, std::vector<ObjectInfo>* objects,
                     std::vector<std::string>* subdirectories) {
    const std::optional<FileDescriptor> directory = root_->OpenDirectory(DirectoryPart(prefix));
    if (!directory) return;
    for (const DirectoryEntry& entry : ReadEntries(directory->get(), root_->PathOf(prefix))) {
      const std::string name = prefix + entry.name;
      if (!IsListed(name)) continue;
      if (entry.type == DT_DIR) subdirectories->push_back(name + "/");
      if (entry.type != DT_REG) continue;
      struct stat status;
      if (fstatat(directory->get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // deleted meanwhile
        throw SystemError(fmt::format("read the status of \"{}\"", root_->PathOf(name)), errno);
      }
      const struct timespec& modified = status.st_mtim;
      objects->push_back({name, static_cast<uint64_t>(status.st_size),
                          int64_t{modified.tv_sec} * 1'000'000 + modified.tv_nsec / 1'000});
    }
  }

  // A writer that dies between making a directory and filling it leaves it empty.
  void SweepEmptyDirectories() {
    for (const std::string& top : ListNames("")) {
      const std::optional<FileDescriptor> directory = root_->OpenDirectory(top);
      if (!directory) continue;
      for (const DirectoryEntry& entry : ReadEntries(directory->get(), root_->PathOf(top))) {
        if (entry.type == DT_DIR) root_->RemoveEmptyDirectories(JoinPath(top, entry.name));
      }
    }
  }

  std::shared_ptr<RootedDirectory> root_;
};

}  // namespace

std::unique_ptr<ObjectStore> OpenDirectoryStore(const std::string& root) {
  return std::make_unique<DirectoryStore>(root);
}

}  // namespace backup_ext
