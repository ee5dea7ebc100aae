// Which WAL a backup needs to become consistent, and whether it is there.
#include "cluster/needed_wal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/lsn.h"
#include "cluster/wal_file.h"

namespace backup_ext {
namespace {

void CheckSizes(const std::vector<WalSpan>& spans, uint64_t segment_bytes) {
  if (segment_bytes < 1024 * 1024 || segment_bytes > 1024 * 1024 * 1024 ||
      (segment_bytes & (segment_bytes - 1)) != 0) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("its record names a WAL segment size of {}", segment_bytes));
  }
  for (const WalSpan& span : spans) {
    if (span.start_lsn != 0 && span.end_lsn > span.start_lsn) continue;
    throw Error(ErrorCode::kDamaged,
                fmt::format("its record names WAL from {} to {}", FormatLsn(span.start_lsn),
                            FormatLsn(span.end_lsn)));
  }
}

// The size of the segment `number` under `timeline` or a newer one; nothing: 0.
uint64_t LargestSize(const std::vector<WalSpan>& spans, const WalFiles& files, uint64_t number,
                     uint32_t timeline, uint32_t segment_bytes) {
  uint64_t size = 0;
  for (const WalSpan& span : spans) {
    if (span.timeline < timeline) continue;
    const auto file = files.find(WalSegmentName({span.timeline, number}, segment_bytes));
    if (file != files.end()) size = std::max(size, file->second);
  }
  return size;
}

}  // namespace

std::string MissingWal::Describe() const {
  if (found_bytes == 0) return fmt::format("WAL segment {} is missing", name);
  return fmt::format("WAL segment {} has {} bytes instead of {}", name, found_bytes, needed_bytes);
}

std::vector<MissingWal> FindMissingWal(const std::vector<WalSpan>& spans, const WalFiles& files,
                                       uint32_t segment_bytes, size_t limit) {
  CheckSizes(spans, segment_bytes);
  std::vector<MissingWal> missing;
  for (const WalSpan& span : spans) {
    const uint64_t last = SegmentBefore(span.end_lsn, segment_bytes);
    for (uint64_t number = SegmentOfLsn(span.start_lsn, segment_bytes); number <= last; ++number) {
      const uint64_t needed =
          number == last ? span.end_lsn - number * segment_bytes : segment_bytes;
      const uint64_t size = LargestSize(spans, files, number, span.timeline, segment_bytes);
      if (size >= needed) continue;
      if (missing.size() >= limit) return missing;
      missing.push_back(
          {WalSegmentName({span.timeline, number}, segment_bytes), size, needed, span});
    }
  }
  return missing;
}

}  // namespace backup_ext
