// A file of an earlier stage that shall become one of the backup: only what is wrong is written.
#include "restore/earlier_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace backup_ext {
namespace {

// What is compared and written as one: a page of most clusters, two of the file system's.
constexpr size_t kUnitBytes = 8192;

}  // namespace

EarlierFile::EarlierFile(FileDescriptor file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {
  struct stat status {};
  if (fstat(file_.get(), &status) != 0) {
    throw SystemError(fmt::format("read the status of \"{}\"", path_), errno);
  }
  size_bytes_ = static_cast<uint64_t>(status.st_size);
}

ByteSpan EarlierFile::Read(uint64_t offset, size_t count) {
  if (buffer_.size() < count) buffer_.resize(count);
  read_bytes_ =
      offset >= size_bytes_ ? 0 : ReadAt(file_.get(), buffer_.data(), count, offset, path_);
  read_offset_ = offset;
  return ByteSpan(buffer_).first(read_bytes_);
}

ByteSpan EarlierFile::ReadIfEqual(uint64_t offset, const FrameRef& frame) {
  const ByteSpan there = Read(offset, frame.plain_bytes);
  if (there.size() != frame.plain_bytes || FrameDigest(there) != frame.digest) return {};
  return there;
}

void EarlierFile::Put(uint64_t offset, ByteSpan bytes) {
  const bool is_there =
      bytes.data() >= buffer_.data() &&
      bytes.data() + bytes.size() <= buffer_.data() + read_bytes_ &&
      offset - read_offset_ == static_cast<uint64_t>(bytes.data() - buffer_.data());
  if (is_there) return;
  const bool is_read = read_offset_ == offset && read_bytes_ >= bytes.size();
  const ByteSpan there =
      is_read ? ByteSpan(buffer_).first(bytes.size()) : Read(offset, bytes.size());
  const auto is_right = [&](size_t at) {
    const size_t count = std::min(kUnitBytes, bytes.size() - at);
    return at + count <= there.size() && std::memcmp(&there[at], &bytes[at], count) == 0;
  };
  for (size_t at = 0; at < bytes.size();) {
    if (is_right(at)) {
      at += kUnitBytes;
      continue;
    }
    const size_t begin = at;
    while (at < bytes.size() && !is_right(at)) at += kUnitBytes;
    Write(offset + begin, bytes.subspan(begin, std::min(at, bytes.size()) - begin));
  }
  read_bytes_ = 0;  // it is another content now
}

void EarlierFile::Write(uint64_t offset, ByteSpan bytes) {
  WriteAllAt(file_.get(), bytes, offset, path_);
  written_bytes_ += bytes.size();
  size_bytes_ = std::max(size_bytes_, offset + bytes.size());
  if (written_bytes_ - flushed_bytes_ < kWritebackBytes) return;
  // Only a hint; what must be durable is fsynced at the end.
  (void)sync_file_range(file_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  flushed_bytes_ = written_bytes_;
}

void EarlierFile::Finish(uint64_t size_bytes) {
  if (size_bytes_ != size_bytes) {
    if (ftruncate(file_.get(), static_cast<off_t>(size_bytes)) != 0) {
      throw SystemError(fmt::format("truncate file \"{}\"", path_), errno);
    }
    size_bytes_ = size_bytes;
  }
  if (written_bytes_ != flushed_bytes_) {
    (void)sync_file_range(file_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  }
}

}  // namespace backup_ext
