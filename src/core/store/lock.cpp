// The writer's lock of a repository: one backup or expiry at a time.
#include "store/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "format/names.h"
#include "store/file_lock.h"
#include "store/lease.h"
#include "store/rooted_directory.h"

namespace backup_ext {
namespace {

constexpr size_t kHolderLimitBytes = 1000;
constexpr size_t kContentLimitBytes = 2 * kHolderLimitBytes;
constexpr Microseconds kWatchPause = 100'000;
constexpr Microseconds kTakeOverPause = 5 * kMicrosecondsPerSecond;
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

std::string ReadContent(int fd, const std::string& path) {
  Bytes bytes(kContentLimitBytes);
  bytes.resize(ReadAt(fd, bytes.data(), bytes.size(), 0, path));
  return std::string(AsText(bytes));
}

// For a message, so nothing in it is believed: one line of printable bytes.
std::string HolderOf(std::string_view content) {
  std::string holder(content.substr(0, content.find('\n')));
  std::ranges::replace_if(
      holder, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return holder;
}

Error IsLocked(const Repository& repository, std::string_view content) {
  const std::string other = HolderOf(content);
  return Error(ErrorCode::kLocked,
               fmt::format("repository \"{}\" is locked by another writer", repository.location()),
               other.empty() ? "" : fmt::format("The lock is held by {}.", other),
               "Wait until it has finished, or cancel it.");
}

// Written over what was there, and only then cut: on a full file system the old bytes' block is
// used again. When there is no room all the same, the lock holds without its text: what frees
// space must not need space.
// True when it was written.
bool WriteContent(int fd, const std::string& text, const std::string& path) {
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
  return size > 0;
}

class FileWriterLock : public WriterLock {
 public:
  FileWriterLock(std::unique_ptr<RootedDirectory> root, FileDescriptor file, std::string holder)
      : root_(std::move(root)),
        file_(std::move(file)),
        path_(root_->PathOf(LockName())),
        holder_(std::move(holder)) {
    lease_.token = HexEncode(RandomBytes(kTokenBytes));
    lease_.boot_id = BootId();
    RenewFor(kLeaseSeconds);
  }

  // A dead one lets the next machine wait; so who ends in order takes the lease away.
  ~FileWriterLock() override {
    try {
      if (!IsTakenOver()) WriteContent(file_.get(), holder_ + "\n", path_);
    } catch (const Error&) {
      // Then the next one waits.
    }
  }

  void Renew() override {
    const bool is_usual = lease_.seconds == kLeaseSeconds;
    if (is_usual && MonotonicNow() - renewed_at_ < kRenewPause) return;
    RenewFor(kLeaseSeconds);
  }

  void RenewFor(int64_t seconds) override {
    if (is_written_ && IsTakenOver()) throw Lost("Another writer has taken it over.");
    ++lease_.beat;
    lease_.seconds = seconds;
    renewed_at_ = MonotonicNow();
    if (!WriteContent(file_.get(), EncodeLease(holder_, lease_), path_)) return;
    SyncFile(file_.get(), path_);
    is_written_ = true;
  }

  void Check() const override {
    root_->CheckStillThere();
    if (!NamesSameFile(*root_, LockName(), file_.get())) {
      throw Lost(
          fmt::format("The file \"{}\" was removed or replaced while we held its lock.", path_));
    }
    if (is_written_ && IsTakenOver()) {
      throw Lost(fmt::format("It was taken over by {}.", HolderOf(ReadAnew())));
    }
  }

 private:
  static constexpr Microseconds kRenewPause = 10 * kMicrosecondsPerSecond;
  static constexpr size_t kTokenBytes = 16;

  // Opened anew: only then a network file system shows what others wrote.
  [[nodiscard]] std::string ReadAnew() const {
    const auto file = root_->OpenIfExists(LockName(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    return file ? ReadContent(file->get(), path_) : std::string();
  }

  [[nodiscard]] bool IsTakenOver() const {
    const std::optional<Lease> now = ParseLease(ReadAnew());
    return now && now->token != lease_.token;
  }

  [[nodiscard]] Error Lost(std::string detail) const {
    return Error(ErrorCode::kLocked,
                 fmt::format("lock of repository \"{}\" was lost", root_->path()),
                 std::move(detail),
                 "Nothing was committed. Do not remove lock files: a lock ends with its holder.");
  }

  std::unique_ptr<RootedDirectory> root_;
  FileDescriptor file_;
  std::string path_;
  std::string holder_;
  Lease lease_;
  bool is_written_ = false;  // a full file system had room for it
  Microseconds renewed_at_ = 0;
};

void Wait(Microseconds length, const std::function<void()>& pause_point) {
  if (pause_point) pause_point();
  usleep(static_cast<useconds_t>(length));
}

// The file is locked on this machine; another one may hold it all the same.
void WaitForOtherMachine(const Repository& repository, const RootedDirectory& root, int fd,
                         const std::function<void()>& pause_point) {
  const std::string path = root.PathOf(LockName());
  const std::optional<Lease> lease = ParseLease(ReadContent(fd, path));
  // A holder on this machine would have the lock itself.
  if (!lease || (!lease->boot_id.empty() && lease->boot_id == BootId())) return;
  const LeaseWatch watch(*lease, MonotonicNow());
  for (;;) {
    const auto file = root.OpenIfExists(LockName(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    const std::string content = file ? ReadContent(file->get(), path) : std::string();
    switch (watch.Judge(content, MonotonicNow())) {
      case LeaseWatch::Verdict::kLives:
        throw IsLocked(repository, content);
      case LeaseWatch::Verdict::kEnded:
        return;
      case LeaseWatch::Verdict::kWait:
        break;
    }
    Wait(kWatchPause, pause_point);
  }
}

// One that woke up this moment may be about to commit: it has looked at the lease before.
void LetOtherMachineNotice(const Lease& ended, const std::function<void()>& pause_point) {
  const Microseconds end =
      MonotonicNow() + std::min(kTakeOverPause, ended.seconds * kMicrosecondsPerSecond);
  while (MonotonicNow() < end) Wait(kWatchPause, pause_point);
}

}  // namespace

std::unique_ptr<WriterLock> WriterLock::Acquire(const Repository& repository,
                                                const std::string& holder,
                                                const std::function<void()>& pause_point) {
  auto root = std::make_unique<RootedDirectory>(repository.location());
  const std::string name = LockName();
  const std::string path = root->PathOf(name);
  for (int attempt = 0; attempt < kOpenAttempts; attempt++) {
    FileDescriptor file = OpenLockFile(root.get(), name);
    if (!TryLock(file.get(), path)) throw IsLocked(repository, ReadContent(file.get(), path));
    WaitForOtherMachine(repository, *root, file.get(), pause_point);
    // Somebody may have replaced the file between our open and our lock.
    if (!NamesSameFile(*root, name, file.get())) continue;
    const std::optional<Lease> ended = ParseLease(ReadContent(file.get(), path));
    auto lock = std::make_unique<FileWriterLock>(std::move(root), std::move(file),
                                                 holder.substr(0, kHolderLimitBytes - 1));
    if (ended && (ended->boot_id.empty() || ended->boot_id != BootId())) {
      LetOtherMachineNotice(*ended, pause_point);
      lock->Check();
    }
    return lock;
  }
  throw Error(ErrorCode::kLocked,
              fmt::format("could not lock repository \"{}\"", repository.location()),
              fmt::format("The file \"{}\" keeps being replaced.", path));
}

bool IsWriterLocked(const Repository& repository) {
  const RootedDirectory root(repository.location());
  const auto file = root.OpenIfExists(LockName(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  return file && IsFileLocked(file->get());
}

}  // namespace backup_ext
