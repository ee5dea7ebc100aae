// Opens a file and takes down what it is.
#include "backup/source_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "backup/change_proof.h"
#include "backup/copy_environment.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/extended_attributes.h"
#include "base/open_beneath.h"

namespace backup_ext {
namespace {

constexpr std::array<int, 5> kExtensionPausesMs = {1, 5, 10, 25, 50};

void TakeStatus(int fd, const std::string& path, struct stat* status, ManifestEntry* entry) {
  const Microseconds read_at = Now();
  if (fstat(fd, status) != 0) {
    throw SystemError(fmt::format("read the status of file \"{}\"", path), errno);
  }
  SetAttributes(*status, read_at, entry);
}

// 0 where the file system or the kernel does not tell.
int64_t BirthTime(int fd) {
  struct statx status;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0) return 0;
  if ((status.stx_mask & STATX_BTIME) == 0) return 0;
  return status.stx_btime.tv_sec * 1'000'000'000 + status.stx_btime.tv_nsec;
}

// Nothing when it is gone, or when `*warning` says why it cannot be read.
std::optional<FileDescriptor> OpenMedia(const MediaPlace& place, std::string* warning) {
  FileDescriptor file = OpenBeneath(place.root, place.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (file.valid()) return file;
  const int error_number = errno;
  // ELOOP: a link took the place of the file, or of a directory on the way.
  if (error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP ||
      error_number == ENXIO) {
    return std::nullopt;
  }
  const Error error =
      SystemError(fmt::format("open media file \"{}\"", place.disk_path), error_number);
  if (error_number != EACCES && error_number != EPERM) throw error;
  *warning = error.message();
  return std::nullopt;
}

}  // namespace

std::optional<SourceFile> SourceFile::Open(const CopyEnvironment& environment,
                                           const ScannedEntry& scanned, std::string* warning) {
  SourceFile source;
  source.disk_path_ = JoinPath(environment.facts.data_directory, scanned.entry.path);
  source.entry_ = scanned.entry;
  std::optional<FileDescriptor> file;
  if (scanned.media) {
    source.disk_path_ = scanned.media->disk_path;
    file = OpenMedia(*scanned.media, warning);
    if (!file) return std::nullopt;
    source.file_ = *std::move(file);
    return TakeMedia(std::move(source));
  }
  // O_NONBLOCK: a named pipe that took the file's place must not hold us for ever.
  const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (scanned.follows_link ? 0 : O_NOFOLLOW);
  try {
    file = OpenFileIfExists(source.disk_path_, flags);
  } catch (const Error& error) {
    if (!scanned.follows_link) throw;
    // It lies outside of the data directory: the server may have no right to read it.
    *warning = error.message();
  }
  if (!file) return std::nullopt;
  source.file_ = *std::move(file);

  struct stat status;
  TakeStatus(source.file_.get(), source.disk_path_, &status, &source.entry_);
  if (!S_ISREG(status.st_mode)) {
    *warning = fmt::format("skipping special file \"{}\"", scanned.entry.path);
    return std::nullopt;
  }
  if (scanned.relation) {
    source.entry_.birth_ns = BirthTime(source.file_.get());
    source.is_relation_ = true;
    source.segment_ = scanned.relation->segment;
    source.database_oid_ = scanned.database_oid;
    const uint32_t page_bytes = environment.facts.block_bytes;
    // An extension may be seen half done.
    for (const int pause_ms : kExtensionPausesMs) {
      if (source.size_bytes() % page_bytes == 0 || environment.stop) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
      TakeStatus(source.file_.get(), source.disk_path_, &status, &source.entry_);
    }
    if (source.size_bytes() % page_bytes == 0) source.entry_.map.unit_bytes = page_bytes;
  }
  return source;
}

std::optional<SourceFile> SourceFile::TakeMedia(SourceFile source) {
  struct stat status;
  TakeStatus(source.file_.get(), source.disk_path_, &status, &source.entry_);
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  source.entry_.file_kind = KindOfMedia(status);
  source.entry_.xattrs = ReadExtendedAttributes(source.file_.get(), source.disk_path_);
  return source;
}

bool SourceFile::HasChanged() const {
  struct stat status;
  ManifestEntry now = entry_;
  TakeStatus(file_.get(), disk_path_, &status, &now);
  return !HasSameTimes(now, entry_);
}

uint64_t SourceFile::NextData(uint64_t offset_bytes) const {
  if (entry_.file_kind != FileKind::kSparse) return offset_bytes;
  const off_t data = lseek(file_.get(), static_cast<off_t>(offset_bytes), SEEK_DATA);
  if (data >= 0) return static_cast<uint64_t>(data);
  return errno == ENXIO ? entry_.size_bytes : offset_bytes;
}

ReadableFile SourceFile::readable() const {
  return {file_.get(), entry_.path, &disk_path_, is_relation_, segment_, database_oid_};
}

}  // namespace backup_ext
