// Descriptors, whole reads and writes, fsync and durable replacement of files.
#include "base/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

// The kernel writes and reads at most this much a call anyway.
constexpr size_t kTransferLimitBytes = size_t{1} << 30;

int OpenRetrying(const std::string& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

off_t CheckedOffset(uint64_t offset, size_t count, std::string_view verb, const std::string& path) {
  constexpr auto limit = static_cast<uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > limit || count > limit - offset) {
    ThrowSystemError(verb, path, EOVERFLOW);
  }
  return static_cast<off_t>(offset);
}

// `write_some(bytes, done)` writes a first part of `bytes`, of which `done` came before.
template <typename WriteSome>
void WriteRepeatedly(ByteSpan bytes, const std::string& path, WriteSome write_some) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ByteSpan rest = bytes.subspan(done);
    const ssize_t written =
        write_some(rest.first(std::min(rest.size(), kTransferLimitBytes)), done);
    if (written > 0) {
      done += static_cast<size_t>(written);
    } else if (written == 0) {
      ThrowSystemError("write file", path, ENOSPC);
    } else if (errno != EINTR) {
      ThrowSystemError("write file", path, errno);
    }
  }
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::Close() {
  // Not retried after EINTR: Linux has closed it, and the number may already be another file's.
  if (fd_ >= 0) {
    close(std::exchange(fd_, -1));
  }
}

FileDescriptor OpenFile(const std::string& path, int flags, mode_t mode) {
  FileDescriptor file(OpenRetrying(path, flags, mode));
  if (!file.valid()) {
    ThrowSystemError((flags & O_CREAT) != 0 ? "create file" : "open file", path, errno);
  }
  return file;
}

std::optional<FileDescriptor> OpenFileIfExists(const std::string& path, int flags) {
  FileDescriptor file(OpenRetrying(path, flags & ~O_CREAT, 0));
  if (file.valid()) {
    return file;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return std::nullopt;
  }
  ThrowSystemError("open file", path, errno);
}

size_t ReadAt(int fd, std::byte* buffer, size_t count, uint64_t offset, const std::string& path) {
  const off_t start = CheckedOffset(offset, count, "read file", path);
  size_t done = 0;
  while (done < count) {
    const ssize_t got = pread(fd, buffer + done, std::min(count - done, kTransferLimitBytes),
                              start + static_cast<off_t>(done));
    if (got == 0) {
      break;
    }
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (errno != EINTR) {
      ThrowSystemError("read file", path, errno);
    }
  }
  return done;
}

void WriteAll(int fd, ByteSpan bytes, const std::string& path) {
  WriteRepeatedly(bytes, path,
                  [fd](ByteSpan part, size_t) { return write(fd, part.data(), part.size()); });
}

void WriteAllAt(int fd, ByteSpan bytes, uint64_t offset, const std::string& path) {
  const off_t start = CheckedOffset(offset, bytes.size(), "write file", path);
  WriteRepeatedly(bytes, path, [fd, start](ByteSpan part, size_t done) {
    return pwrite(fd, part.data(), part.size(), start + static_cast<off_t>(done));
  });
}

// Reads until the end, not until the size that fstat() tells: files of /proc tell 0.
Bytes ReadWholeFile(const std::string& path, uint64_t limit_bytes) {
  constexpr size_t step_bytes = 64 * 1024;
  const FileDescriptor file = OpenFile(path, O_RDONLY);
  Bytes content;
  while (true) {
    const size_t before = content.size();
    // Doubling, so that a large file is not copied once a step.
    content.resize(before + std::max(before, step_bytes));
    ssize_t got;
    do {
      got = read(file.get(), content.data() + before, content.size() - before);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      ThrowSystemError("read file", path, errno);
    }
    content.resize(before + static_cast<size_t>(got));
    if (content.size() > limit_bytes) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("file \"{}\" is larger than {} bytes", path, limit_bytes));
    }
    if (got == 0) {
      return content;
    }
  }
}

void SyncFile(int fd, const std::string& path) {
  if (fsync(fd) != 0) {
    ThrowSystemError("fsync file", path, errno);
  }
}

void SyncDirectory(const std::string& path) {
  const std::string name = path.empty() ? "." : path;
  const FileDescriptor directory(OpenRetrying(name, O_RDONLY | O_DIRECTORY, 0));
  if (!directory.valid()) {
    ThrowSystemError("open directory", name, errno);
  }
  // EINVAL: a file system that does not know fsync of directories.
  if (fsync(directory.get()) != 0 && errno != EINVAL) {
    ThrowSystemError("fsync directory", name, errno);
  }
}

void WriteFileDurably(const std::string& path, ByteSpan content, mode_t mode) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, HexEncode(RandomBytes(8)));
  FileDescriptor file = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  ScopeExit remove_temporary([&temporary] { RemoveFile(temporary); });
  WriteAll(file.get(), content, temporary);
  if (fchmod(file.get(), mode) != 0) {
    ThrowSystemError("set permissions of file", temporary, errno);
  }
  SyncFile(file.get(), temporary);
  file.Close();
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    throw SystemError(fmt::format("rename file \"{}\" to \"{}\"", temporary, path), errno);
  }
  remove_temporary.Release();
  SyncDirectory(ParentDirectory(path));
}

bool RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return false;
  }
  ThrowSystemError("remove file", path, errno);
}

bool ExchangePaths(const std::string& a, const std::string& b) {
  if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
    throw SystemError(fmt::format("exchange \"{}\" and \"{}\"", a, b), errno);
  }
  SyncDirectory(ParentDirectory(a));
  SyncDirectory(ParentDirectory(b));
  return true;
}

void RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    throw SystemError(fmt::format("rename \"{}\" to \"{}\"", from, to), errno);
  }
  SyncDirectory(ParentDirectory(to));
}

ScopeExit::~ScopeExit() {
  if (cleanup_) {
    try {
      cleanup_();
    } catch (...) {
      // Nobody to tell: an exception may be on its way already.
    }
  }
}

}  // namespace backup_ext
