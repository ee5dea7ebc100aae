// Which WAL a backup needs to become consistent, and whether it is there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace backup_ext {

// WAL of one timeline, from one LSN to the byte before another.
struct WalSpan {
  uint32_t timeline = 0;
  uint64_t start_lsn = 0;
  uint64_t end_lsn = 0;
  bool operator==(const WalSpan&) const = default;
};

// Name in pg_wal (segments and histories) to size.
using WalFiles = std::map<std::string, uint64_t>;

// A segment that is missing (`found_bytes` is 0) or too short.
struct MissingWal {
  std::string name;
  uint64_t found_bytes = 0;
  uint64_t needed_bytes = 0;
  WalSpan span;
  // `WAL segment 000000010000000000000020 is missing`
  [[nodiscard]] std::string Describe() const;
};

// Every segment from the start to the end of every span must be there, under the span's timeline or
// a newer one of the spans (the first segment of a timeline holds the end of the one before),
// whole, or at least up to the end of the span. At most `limit` of those that are not. Throws
// Error(kDamaged) for a segment size or a span that cannot be.
[[nodiscard]] std::vector<MissingWal> FindMissingWal(const std::vector<WalSpan>& spans,
                                                     const WalFiles& files, uint32_t segment_bytes,
                                                     size_t limit);

}  // namespace backup_ext
