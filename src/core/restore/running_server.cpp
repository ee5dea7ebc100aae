// Does a server run on a data directory?
#include "restore/running_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/digits.h"
#include "base/error.h"
#include "base/file.h"
#include "restore/shell_quote.h"

namespace backup_ext {
namespace {

constexpr Microseconds kEndingFor = 5 * kMicrosecondsPerSecond;
constexpr int kLookEveryMs = 20;
constexpr size_t kPidFileLimitBytes = 1024 * 1024;

// The server of a data directory runs in it: a pid that is used again does not.
std::optional<int> PostmasterOf(const std::string& directory) {
  const std::string path = directory + "/postmaster.pid";
  const auto status = StatLink(path);
  if (!status || !S_ISREG(status->st_mode)) return std::nullopt;
  const Bytes content = ReadWholeFile(path, kPidFileLimitBytes);
  const std::string_view text = AsText(content);
  int pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  // In single-user mode it carries a minus sign. Source: src/backend/utils/init/miscinit.c.
  if (pid < 0 && pid != std::numeric_limits<int>::min()) pid = -pid;
  if (pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH)) return std::nullopt;
  char where[4096];
  const ssize_t length = readlink(fmt::format("/proc/{}/cwd", pid).c_str(), where, sizeof(where));
  if (length > 0 &&
      std::string_view(where, static_cast<size_t>(length)) != ResolvePath(directory)) {
    return std::nullopt;
  }
  return pid;
}

// Of a server that cannot be seen from here, in another container: it holds a lock. See
// src/server/server_lock.h.
bool IsPidFileLocked(const std::string& directory) {
  const std::string path = directory + "/postmaster.pid";
  const auto status = StatLink(path);
  if (!status || !S_ISREG(status->st_mode)) return false;
  const FileDescriptor fd = OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(fd.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool IsPostgres(const std::string& pid) {
  try {
    const Bytes name = ReadWholeFile(fmt::format("/proc/{}/comm", pid), 4096);
    return AsText(name).starts_with("postgres");
  } catch (const Error&) {
    return false;
  }
}

std::optional<std::string> ProcessIn(const struct stat& directory) {
  const auto entries = ReadDirectory("/proc");
  if (!entries) return std::nullopt;
  for (const DirectoryEntry& entry : *entries) {
    if (!std::ranges::all_of(entry.name, IsDigit)) {
      continue;
    }
    struct stat where {};
    if (stat(fmt::format("/proc/{}/cwd", entry.name).c_str(), &where) != 0) continue;
    if (where.st_dev == directory.st_dev && where.st_ino == directory.st_ino &&
        IsPostgres(entry.name)) {
      return entry.name;
    }
  }
  return std::nullopt;
}

// A server that is stopped removes postmaster.pid a moment before its last process is gone.
std::optional<std::string> ProcessThatStaysIn(const struct stat& directory) {
  const Microseconds until = MonotonicNow() + kEndingFor;
  auto pid = ProcessIn(directory);
  while (pid && MonotonicNow() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(kLookEveryMs));
    pid = ProcessIn(directory);
  }
  return pid;
}

}  // namespace

void CheckNotRunning(const std::string& directory, std::string_view attempt) {
  const auto status = StatFile(directory);
  if (!status) return;
  const auto postmaster = PostmasterOf(directory);
  std::optional<std::string> pid;
  if (postmaster) {
    pid = std::to_string(*postmaster);
  } else {
    pid = ProcessThatStaysIn(*status);
  }
  if (!pid) {
    if (!IsPidFileLocked(directory)) return;
    throw Error(ErrorCode::kNotInPrerequisiteState,
                fmt::format("cannot {}: a server is running in \"{}\"", attempt, directory),
                "It holds a lock on postmaster.pid, and its processes cannot be seen from here.",
                "Stop it first, where it runs: in another container, or on another machine.");
  }
  throw Error(ErrorCode::kNotInPrerequisiteState,
              fmt::format("cannot {}: a server is running in \"{}\"", attempt, directory),
              fmt::format("Its process is {}.", *pid),
              fmt::format("Stop it first: pg_ctl -D {} stop, or by your service manager.",
                          ShellQuote(directory)));
}

}  // namespace backup_ext
