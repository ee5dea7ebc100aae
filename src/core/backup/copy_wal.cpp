// Reads a segment, makes sure that it is the right one, and stores it.
#include "backup/copy_wal.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include "backup/scanned_entry.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/wal_file.h"
#include "format/frame.h"

namespace backup_ext {
namespace {

constexpr size_t kFirstPageBytes = 8192;
constexpr size_t kSegmentsWaiting = 64;

WalSegment ParseName(const std::string& file_name, uint32_t segment_bytes) {
  const auto segment = ParseWalSegmentName(file_name, segment_bytes);
  if (segment) return *segment;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" is not the name of a WAL segment", file_name));
}

void CheckFirstPage(ByteSpan page, const ClusterFacts& facts, const std::string& file_name,
                    const std::string& disk_path) {
  const std::string problem = CheckWalFirstPage(page, ParseName(file_name, facts.wal_segment_bytes),
                                                facts.wal_segment_bytes, facts.system_identifier);
  if (problem.empty()) return;
  throw Error(ErrorCode::kDamaged, fmt::format("WAL segment \"{}\" {}", disk_path, problem));
}

void CheckFirstPageOnDisk(int fd, const ClusterFacts& facts, const std::string& file_name,
                          const std::string& disk_path) {
  std::array<std::byte, kFirstPageBytes> page;
  const size_t count = ReadAt(fd, page.data(), page.size(), 0, disk_path);
  CheckFirstPage(ByteSpan(page).first(count), facts, file_name, disk_path);
}

}  // namespace

WalCopier::WalCopier(CopyEnvironment* environment, RunLoop* loop)
    : environment_(environment), loop_(loop) {
  pool_.emplace(1, kSegmentsWaiting);
}

void WalCopier::Post(const std::string& file_name, uint64_t bytes) {
  // Not an error: the pause point goes on posting while the packs are closed.
  if (is_closed_) return;
  const uint32_t segment_bytes = environment_->facts.wal_segment_bytes;
  (void)ParseName(file_name, segment_bytes);
  if (bytes == 0 || bytes > segment_bytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("cannot copy {} bytes of WAL segment \"{}\"", bytes, file_name));
  }
  waiting_.push_back({queue_.Begin(bytes), file_name, bytes});
  Advance();
}

void WalCopier::Advance() {
  while (!waiting_.empty()) {
    const Segment& segment = waiting_.front();
    const bool posted = pool_->TryPost([environment = environment_, queue = &queue_, segment](int) {
      CopyWalSegment(environment, &environment->workers.back(), queue, segment.slot,
                     segment.file_name, segment.bytes);
    });
    if (!posted) break;
    waiting_.pop_front();
  }
  (void)pool_->DrainFor(0);  // rethrows an error
  while (auto outcome = queue_.TakeNext()) {
    if (!outcome->copied) continue;
    entries_.push_back(std::move(outcome->copied->entry));
    ++stored_;
  }
}

void WalCopier::Drain() {
  while (queue_.size() > 0) {
    (void)pool_->DrainFor(RunLoop::kStepMs);
    loop_->Turn();
    Advance();
  }
}

std::vector<ManifestEntry> WalCopier::TakeEntries() {
  is_closed_ = true;
  return std::exchange(entries_, {});
}

void CopyWalSegment(CopyEnvironment* environment, Worker* worker, EntryQueue* queue, uint64_t slot,
                    const std::string& file_name, uint64_t bytes) {
  const ClusterFacts& facts = environment->facts;
  CopiedEntry copied;
  ManifestEntry& entry = copied.entry;
  entry.file_kind = FileKind::kWal;
  entry.path = JoinPath("pg_wal", file_name);
  const std::string disk_path = JoinPath(facts.data_directory, entry.path);
  const FileDescriptor file = OpenFile(disk_path, O_RDONLY);
  struct stat status;
  const Microseconds read_at = Now();
  if (fstat(file.get(), &status) != 0) {
    throw SystemError(fmt::format("read the status of file \"{}\"", disk_path), errno);
  }
  SetAttributes(status, read_at, &entry);
  entry.size_bytes = facts.wal_segment_bytes;
  posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);

  Xxh3Stream digest;
  for (uint64_t offset = 0; offset < entry.size_bytes; offset += kFramePlainLimitBytes) {
    const auto count =
        static_cast<size_t>(std::min<uint64_t>(kFramePlainLimitBytes, entry.size_bytes - offset));
    if (environment->stop) return;
    const std::span<std::byte> plain = std::span(worker->buffer).first(count);
    const auto wanted =
        static_cast<size_t>(std::clamp<uint64_t>(bytes, offset, offset + count) - offset);
    std::ranges::fill(plain.subspan(wanted), std::byte{0});
    if (ReadAt(file.get(), plain.data(), wanted, offset, disk_path) < wanted) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("WAL segment \"{}\" is shorter than {} bytes", disk_path, bytes));
    }
    if (offset == 0 && wanted >= kFirstPageBytes) {
      CheckFirstPage(plain.first(kFirstPageBytes), facts, file_name, disk_path);
    }
    digest.Update(plain);
    entry.map.Append(count, static_cast<uint32_t>(entry.map.frames.size()), 0);
    entry.map.frames.push_back(worker->packs.Write(plain));
  }
  CheckFirstPageOnDisk(file.get(), facts, file_name, disk_path);
  entry.content = digest.Finish();
  queue->Finish(slot, {std::move(copied), {}});
}

}  // namespace backup_ext
