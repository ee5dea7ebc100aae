// Names of WAL segments, and the long header that says whose segment a file really is.
#include "cluster/wal_file.h"

#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "base/error.h"
#include "cluster/wal_layout.h"

namespace backup_ext {
namespace {

constexpr size_t kSegmentNameChars = 24;
constexpr std::string_view kHistorySuffix = ".history";

constexpr uint32_t kSmallestBlock = 1024;
constexpr uint32_t kLargestBlock = 65536;

bool IsSegmentSize(uint32_t bytes) {
  return std::has_single_bit(bytes) && bytes >= (1U << 20) && bytes <= (1U << 30);
}

// The high 32 bits of an LSN make the middle of the name; this many segments share them.
uint64_t SegmentsPerMiddle(uint32_t segment_bytes) { return (uint64_t{1} << 32) / segment_bytes; }

// Exactly 8 digits, upper case: a server looks for no other spelling.
std::optional<uint32_t> ParseHex8(std::string_view digits) {
  if (digits.size() != 8 || digits.find_first_not_of("0123456789ABCDEF") != digits.npos) {
    return std::nullopt;
  }
  uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

}  // namespace

std::string WalSegmentName(const WalSegment& segment, uint32_t segment_bytes) {
  if (!IsSegmentSize(segment_bytes) || segment.number > UINT64_MAX / segment_bytes) {
    throw Error(ErrorCode::kInternal, fmt::format("no WAL segment has number {} and {} bytes",
                                                  segment.number, segment_bytes));
  }
  const uint64_t per_middle = SegmentsPerMiddle(segment_bytes);
  return fmt::format("{:08X}{:08X}{:08X}", segment.timeline, segment.number / per_middle,
                     segment.number % per_middle);
}

std::optional<WalSegment> ParseWalSegmentName(std::string_view name, uint32_t segment_bytes) {
  if (!IsSegmentSize(segment_bytes) || name.size() != kSegmentNameChars) return std::nullopt;
  const std::optional<uint32_t> timeline = ParseHex8(name.substr(0, 8));
  const std::optional<uint32_t> middle = ParseHex8(name.substr(8, 8));
  const std::optional<uint32_t> last = ParseHex8(name.substr(16));
  if (!timeline || !middle || !last || *timeline == 0) return std::nullopt;
  const uint64_t per_middle = SegmentsPerMiddle(segment_bytes);
  if (*last >= per_middle) return std::nullopt;  // a name of a cluster with smaller segments
  return WalSegment{.timeline = *timeline, .number = *middle * per_middle + *last};
}

std::optional<uint32_t> ParseTimelineHistoryName(std::string_view name) {
  if (!name.ends_with(kHistorySuffix)) return std::nullopt;
  name.remove_suffix(kHistorySuffix.size());
  const std::optional<uint32_t> timeline = ParseHex8(name);
  return timeline == 0U ? std::nullopt : timeline;
}

std::string TimelineHistoryName(uint32_t timeline) {
  return fmt::format("{:08X}{}", timeline, kHistorySuffix);
}

std::string CheckWalFirstPage(ByteSpan first_page, const WalSegment& segment,
                              uint32_t segment_bytes, uint64_t system_identifier) {
  if (first_page.size() < kLongWalPageHeaderBytes) return "ends within its first page header";
  // The magic number differs by version of the server; only a segment never written has 0.
  if (LoadAt<uint16_t>(first_page, kWalPageMagicOffset) == 0) return "has no WAL page header";
  if ((LoadAt<uint16_t>(first_page, kWalPageInfoOffset) & kWalPageHasLongHeader) == 0) {
    return "does not begin with a long WAL page header";
  }
  const auto found_identifier = LoadAt<uint64_t>(first_page, kWalPageSystemIdentifierOffset);
  if (found_identifier != system_identifier) {
    return fmt::format("is of system identifier {}, not {}", found_identifier, system_identifier);
  }
  const auto found_segment_bytes = LoadAt<uint32_t>(first_page, kWalPageSegmentBytesOffset);
  if (found_segment_bytes != segment_bytes) {
    return fmt::format("is of segment size {}, not {}", found_segment_bytes, segment_bytes);
  }
  const auto block_bytes = LoadAt<uint32_t>(first_page, kWalPageBlockBytesOffset);
  if (!std::has_single_bit(block_bytes) || block_bytes < kSmallestBlock ||
      block_bytes > kLargestBlock) {
    return fmt::format("has an impossible WAL block size, {}", block_bytes);
  }
  const auto address = LoadAt<uint64_t>(first_page, kWalPageAddressOffset);
  const uint64_t start = segment.number * segment_bytes;
  if (address != start) {
    return fmt::format("holds WAL of {:X}/{:X}, not of {:X}/{:X}", address >> 32,
                       address & 0xFFFFFFFF, start >> 32, start & 0xFFFFFFFF);
  }
  const auto timeline = LoadAt<uint32_t>(first_page, kWalPageTimelineOffset);
  if (timeline == 0 || timeline > segment.timeline) {
    return fmt::format("is of timeline {}, not {}", timeline, segment.timeline);
  }
  return {};
}

}  // namespace backup_ext
