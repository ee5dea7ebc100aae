// Names and first pages of WAL segments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace backup_ext {

struct WalSegment {
  uint32_t timeline = 0;
  uint64_t number = 0;  // start LSN / segment size
  bool operator==(const WalSegment&) const = default;
};

// 24 upper case hexadecimal digits. `segment_bytes` is a power of two, 1 MiB to 1 GiB; for any
// other WalSegmentName throws Error(kInternal) and ParseWalSegmentName finds nothing. There is no
// timeline 0.
[[nodiscard]] std::string WalSegmentName(const WalSegment& segment, uint32_t segment_bytes);
[[nodiscard]] std::optional<WalSegment> ParseWalSegmentName(std::string_view name,
                                                            uint32_t segment_bytes);
[[nodiscard]] inline uint64_t SegmentOfLsn(uint64_t lsn, uint32_t segment_bytes) {
  return lsn / segment_bytes;
}
// The segment that holds the byte before `lsn`, which is not 0: the last one needed up to `lsn`.
// Source: XLByteToPrevSeg, src/include/access/xlog_internal.h.
[[nodiscard]] inline uint64_t SegmentBefore(uint64_t lsn, uint32_t segment_bytes) {
  return (lsn - 1) / segment_bytes;
}
// 00000002.history
[[nodiscard]] std::optional<uint32_t> ParseTimelineHistoryName(std::string_view name);
[[nodiscard]] std::string TimelineHistoryName(uint32_t timeline);

// Segments are recycled by renaming, so a descriptor can come to show a later one. Empty when the
// first page says that it is this cluster's segment `segment`, else the reason, to be put after the
// segment's name: `is of system identifier 1, not 2`. The timeline of the first page may be older
// than the name's: a new timeline begins with a copy of the segment that it left.
// Source: XLogLongPageHeaderData, src/include/access/xlog_internal.h.
[[nodiscard]] std::string CheckWalFirstPage(ByteSpan first_page, const WalSegment& segment,
                                            uint32_t segment_bytes, uint64_t system_identifier);

}  // namespace backup_ext
