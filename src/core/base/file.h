// Files and directories of the operating system: descriptors that close themselves, whole reads and
// writes, and the orders of fsync that make a write durable.
//
// Every function throws SystemError() with the path in the message unless it says otherwise. All
// descriptors are opened with O_CLOEXEC. Any thread may call.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace backup_ext {

// Owns a descriptor. Closing errors are ignored: what must be durable is fsynced first.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { Close(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// open(2). `flags` without O_CREAT need no mode.
[[nodiscard]] FileDescriptor OpenFile(const std::string& path, int flags, mode_t mode = 0600);
// The same, but nothing when the file does not exist (ENOENT, ENOTDIR).
[[nodiscard]] std::optional<FileDescriptor> OpenFileIfExists(const std::string& path, int flags);

// Reads up to `count` bytes at `offset`; fewer only at the end of the file. EINTR is retried.
[[nodiscard]] size_t ReadAt(int fd, std::byte* buffer, size_t count, uint64_t offset,
                            const std::string& path);
// Writes everything; a short write is continued.
void WriteAll(int fd, ByteSpan bytes, const std::string& path);
void WriteAllAt(int fd, ByteSpan bytes, uint64_t offset, const std::string& path);

// The whole file. Throws Error(kDamaged) when it holds more than `limit_bytes`.
[[nodiscard]] Bytes ReadWholeFile(const std::string& path, uint64_t limit_bytes);

// Never retried on the same descriptor after a failure: a second fsync would report success for
// data that the kernel has dropped. The caller throws the file away.
void SyncFile(int fd, const std::string& path);
// "" is the current directory. File systems that cannot fsync a directory are forgiven.
void SyncDirectory(const std::string& path);

// Temporary name beside `path`, write, fsync, rename over, fsync of the directory. `path` either
// keeps its old content or has the new one.
void WriteFileDurably(const std::string& path, ByteSpan content, mode_t mode = 0600);

struct DirectoryEntry {
  std::string name;
  unsigned char type;  // DT_REG, DT_DIR, DT_LNK, ... or DT_UNKNOWN
};
// Sorted by name, byte by byte, without "." and "..". Nothing when the directory does not exist.
[[nodiscard]] std::optional<std::vector<DirectoryEntry>> ReadDirectory(const std::string& path);

// lstat(2); nothing when there is no such file.
[[nodiscard]] std::optional<struct stat> StatLink(const std::string& path);
// stat(2); nothing when there is no such file or the link dangles.
[[nodiscard]] std::optional<struct stat> StatFile(const std::string& path);
[[nodiscard]] std::string ReadLink(const std::string& path);
// Nothing when there is no such link, or something else.
[[nodiscard]] std::optional<std::string> ReadLinkIfExists(const std::string& path);

// mkdir(2) and fsync of its parent. Mode exact whatever the umask. False when it was there already
// (as a directory, or a link to one); the parent is fsynced then too, for its maker may have died
// before. After an error it is not there.
bool MakeDirectory(const std::string& path, mode_t mode = 0700);
// Makes every missing part below.
void MakeDirectories(const std::string& path, mode_t mode = 0700);
// True when it was there. Missing is no error.
bool RemoveFile(const std::string& path);
// The directory and everything below it, never following a link; throws when `path` itself is a
// link or a file. Missing is no error.
void RemoveTree(const std::string& path);
// rename(2), then fsync of the target's directory.
void RenameDurably(const std::string& from, const std::string& to);

// Exchanges two names of one file system in one step: there is no moment at which either is
// missing. False when the file system cannot (renameat2(2), RENAME_EXCHANGE). Both parents are
// fsynced.
[[nodiscard]] bool ExchangePaths(const std::string& a, const std::string& b);

// Writeback of a long file begins each time that so many bytes have been written to it, so that the
// fsync of the end finds little left to do.
inline constexpr uint64_t kWritebackBytes = 8ULL * 1024 * 1024;

// Free bytes for an unprivileged writer on the file system that holds `path`.
[[nodiscard]] uint64_t FreeBytes(const std::string& path);

// Empty for a relative path of one component; "/" for "/". JoinPath(ParentDirectory(p),
// BaseName(p)) is p. Trailing slashes do not count.
[[nodiscard]] std::string ParentDirectory(std::string_view path);
[[nodiscard]] std::string BaseName(std::string_view path);
// `a/b` from `a` and `b`; `b` when `a` is empty.
[[nodiscard]] std::string JoinPath(std::string_view a, std::string_view b);
// realpath(3) of the longest part that exists, with the rest appended: a path that does not exist
// yet can be compared with one that does. Links that lead to nothing yet are followed too.
[[nodiscard]] std::string ResolvePath(const std::string& path);
// True when `path` is `directory` or lies below it. Both already resolved.
[[nodiscard]] bool IsInside(std::string_view path, std::string_view directory);

// True when one of two directories is the other or lies in it, by resolved path or, which sees
// through bind mounts, by device and inode. Those that do not exist are compared by path.
[[nodiscard]] bool DirectoriesOverlap(const std::string& a, const std::string& b);

// Runs `cleanup` at the end of the scope unless Release() was called. Exceptions are swallowed.
class ScopeExit {
 public:
  explicit ScopeExit(std::function<void()> cleanup) : cleanup_(std::move(cleanup)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit();
  void Release() { cleanup_ = nullptr; }

 private:
  std::function<void()> cleanup_;
};

}  // namespace backup_ext
