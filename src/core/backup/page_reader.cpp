// The verdict on a page: fine, in flight, or damaged.
#include "backup/page_reader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "backup/copy_environment.h"
#include "base/file.h"
#include "cluster/page.h"

namespace backup_ext {
namespace {

// Before the first five re-reads; a page that keeps changing gets more of the last.
constexpr std::array<int, 5> kReReadPausesMs = {1, 5, 10, 25, 50};
constexpr size_t kMostPageReads = 40;
constexpr Microseconds kUnchangedFor = 10'000;
// A page newer than the newest published WAL position waits for the next position, published about
// every 100 ms, before its LSN is called impossible.
constexpr Microseconds kNewerPositionWithin = 300'000;

}  // namespace

void PageReader::Read(const ReadableFile& file, uint64_t offset_bytes, std::span<std::byte> buffer,
                      DamageList* damage) {
  size_t count = ReadAt(file.fd, buffer.data(), buffer.size(), offset_bytes, *file.disk_path);
  if (count < buffer.size()) {
    // Half a page is no page: the whole one was cut off.
    if (file.is_relation) count -= count % environment_->facts.block_bytes;
    std::fill(buffer.begin() + static_cast<ptrdiff_t>(count), buffer.end(), std::byte{0});
  }
  if (!file.is_relation || !environment_->facts.data_checksums) return;
  std::vector<Suspect> suspects = FindSuspects(file, offset_bytes, buffer);
  if (!suspects.empty()) Settle(file, offset_bytes, buffer, std::move(suspects), damage);
}

uint32_t PageReader::BlockOf(const ReadableFile& file, uint64_t offset_bytes) const {
  const auto block = static_cast<uint32_t>(offset_bytes / environment_->facts.block_bytes);
  return file.segment * environment_->facts.segment_blocks + block;
}

bool PageReader::IsFine(ByteSpan page, uint32_t block) const {
  const PageView view(page);
  // A new page carries no checksum yet.
  if (view.is_new() || view.checksum() == PageChecksum(page, block)) return true;
  return view.lsn() >= environment_->start_lsn && view.lsn() <= environment_->wal_position;
}

std::vector<PageReader::Suspect> PageReader::FindSuspects(const ReadableFile& file,
                                                          uint64_t offset_bytes,
                                                          ByteSpan buffer) const {
  const size_t page_bytes = environment_->facts.block_bytes;
  std::vector<Suspect> suspects;
  for (size_t begin = 0; begin + page_bytes <= buffer.size(); begin += page_bytes) {
    if (IsFine(buffer.subspan(begin, page_bytes), BlockOf(file, offset_bytes + begin))) continue;
    const Microseconds now = MonotonicNow();
    suspects.push_back({begin, now, now, false});
  }
  return suspects;
}

void PageReader::Settle(const ReadableFile& file, uint64_t offset_bytes,
                        std::span<std::byte> buffer, std::vector<Suspect> suspects,
                        DamageList* damage) {
  const size_t page_bytes = environment_->facts.block_bytes;
  for (size_t reads = 0; !suspects.empty(); ++reads) {
    const int pause_ms = kReReadPausesMs[std::min(reads, kReReadPausesMs.size() - 1)];
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    if (environment_->stop) return;
    std::erase_if(suspects, [&](Suspect& suspect) {
      return ReadsFineNow(file, offset_bytes, buffer.subspan(suspect.begin, page_bytes), &suspect);
    });
    if (reads + 1 < kReReadPausesMs.size()) continue;
    const bool is_last = reads + 1 == kMostPageReads;
    std::erase_if(suspects, [&](const Suspect& suspect) {
      if (!suspect.settled && !is_last) return false;
      damage->Add(
          Name(file, offset_bytes + suspect.begin, buffer.subspan(suspect.begin, page_bytes)));
      return true;
    });
  }
}

bool PageReader::ReadsFineNow(const ReadableFile& file, uint64_t offset_bytes,
                              std::span<std::byte> page, Suspect* suspect) {
  const uint64_t page_offset = offset_bytes + suspect->begin;
  const Microseconds begun_at = MonotonicNow();
  scratch_.resize(page.size());
  const size_t count =
      ReadAt(file.fd, scratch_.data(), scratch_.size(), page_offset, *file.disk_path);
  if (count < page.size()) {
    std::fill(page.begin(), page.end(), std::byte{0});
    return true;
  }
  if (std::memcmp(page.data(), scratch_.data(), page.size()) != 0) {
    std::copy(scratch_.begin(), scratch_.end(), page.begin());
    suspect->unchanged_since = MonotonicNow();
  }
  if (IsFine(page, BlockOf(file, page_offset))) return true;
  const bool awaits_position = PageView(page).lsn() > environment_->wal_position &&
                               begun_at - suspect->first_read_at < kNewerPositionWithin;
  suspect->settled = begun_at - suspect->unchanged_since >= kUnchangedFor && !awaits_position;
  return false;
}

DamagedPage PageReader::Name(const ReadableFile& file, uint64_t offset_bytes, ByteSpan page) const {
  DamagedPage damaged;
  damaged.path = std::string(file.path);
  damaged.database_oid = file.database_oid;
  damaged.block = static_cast<uint32_t>(offset_bytes / environment_->facts.block_bytes);
  damaged.expected = PageChecksum(page, BlockOf(file, offset_bytes));
  damaged.found = PageView(page).checksum();
  return damaged;
}

}  // namespace backup_ext
