// Is the WAL there that a backup needs to become consistent?
#include "restore/wal_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cluster/wal_file.h"

namespace backup_ext {
namespace {

// The size of the segment `number` under `timeline` or a newer one; nothing: 0.
uint64_t LargestSize(const std::vector<WalRange>& ranges, const WalFiles& files, uint64_t number,
                     uint32_t timeline, uint32_t segment_bytes) {
  uint64_t size = 0;
  for (const WalRange& range : ranges) {
    if (range.timeline < timeline) continue;
    const auto file = files.find(WalSegmentName({range.timeline, number}, segment_bytes));
    if (file != files.end()) size = std::max(size, file->second);
  }
  return size;
}

}  // namespace

std::vector<WalRange> WalRangesOf(const BackupRecord& record) {
  if (!record.wal_ranges.empty()) return record.wal_ranges;
  return {{record.timeline, record.start_lsn, record.stop_lsn}};
}

void CheckWalIsComplete(const BackupRecord& record, const WalFiles& files) {
  const uint64_t segment_bytes = record.wal_segment_bytes;
  if (segment_bytes < 1024 * 1024 || segment_bytes > 1024 * 1024 * 1024 ||
      (segment_bytes & (segment_bytes - 1)) != 0) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("its record names a WAL segment size of {}", segment_bytes));
  }
  const std::vector<WalRange> ranges = WalRangesOf(record);
  for (const WalRange& range : ranges) {
    if (range.start_lsn == 0 || range.end_lsn <= range.start_lsn) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("its record names WAL from {} to {}", FormatLsn(range.start_lsn),
                              FormatLsn(range.end_lsn)));
    }
    const uint64_t last = SegmentBefore(range.end_lsn, record.wal_segment_bytes);
    for (uint64_t number = SegmentOfLsn(range.start_lsn, record.wal_segment_bytes); number <= last;
         ++number) {
      const uint64_t needed =
          number == last ? range.end_lsn - number * segment_bytes : segment_bytes;
      const uint64_t size =
          LargestSize(ranges, files, number, range.timeline, record.wal_segment_bytes);
      if (size >= needed) continue;
      const std::string name = WalSegmentName({range.timeline, number}, record.wal_segment_bytes);
      throw Error(
          ErrorCode::kDamaged,
          size == 0 ? fmt::format("WAL segment {} is missing", name)
                    : fmt::format("WAL segment {} has {} bytes instead of {}", name, size, needed),
          fmt::format("It needs the WAL from {} to {} on timeline {}.", FormatLsn(range.start_lsn),
                      FormatLsn(range.end_lsn), range.timeline));
    }
  }
}

}  // namespace backup_ext
