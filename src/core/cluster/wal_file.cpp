// Names of WAL segments, and the long header that says whose segment a file really is.
#include "cluster/wal_file.h"

#include <bit>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr size_t kSegmentNameChars = 24;
constexpr std::string_view kHistorySuffix = ".history";

// XLogPageHeaderData, then what XLogLongPageHeaderData adds. 8-byte alignment leaves 4 bytes
// unused before the system identifier.
constexpr size_t kMagicOffset = 0;
constexpr size_t kInfoOffset = 2;
constexpr size_t kTimelineOffset = 4;
constexpr size_t kPageAddressOffset = 8;
constexpr size_t kSystemIdentifierOffset = 24;
constexpr size_t kSegmentBytesOffset = 32;
constexpr size_t kBlockBytesOffset = 36;
constexpr size_t kLongHeaderBytes = 40;
constexpr uint16_t kLongHeaderFlag = 0x0002;  // XLP_LONG_HEADER

constexpr uint32_t kSmallestBlock = 1024;
constexpr uint32_t kLargestBlock = 65536;

template <typename T>
T ReadAt(ByteSpan bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

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
  if (first_page.size() < kLongHeaderBytes) return "ends within its first page header";
  // The magic number differs by version of the server; only a segment never written has 0.
  if (ReadAt<uint16_t>(first_page, kMagicOffset) == 0) return "has no WAL page header";
  if ((ReadAt<uint16_t>(first_page, kInfoOffset) & kLongHeaderFlag) == 0) {
    return "does not begin with a long WAL page header";
  }
  const auto found_identifier = ReadAt<uint64_t>(first_page, kSystemIdentifierOffset);
  if (found_identifier != system_identifier) {
    return fmt::format("is of system identifier {}, not {}", found_identifier, system_identifier);
  }
  const auto found_segment_bytes = ReadAt<uint32_t>(first_page, kSegmentBytesOffset);
  if (found_segment_bytes != segment_bytes) {
    return fmt::format("is of segment size {}, not {}", found_segment_bytes, segment_bytes);
  }
  const auto block_bytes = ReadAt<uint32_t>(first_page, kBlockBytesOffset);
  if (!std::has_single_bit(block_bytes) || block_bytes < kSmallestBlock ||
      block_bytes > kLargestBlock) {
    return fmt::format("has an impossible WAL block size, {}", block_bytes);
  }
  const auto address = ReadAt<uint64_t>(first_page, kPageAddressOffset);
  const uint64_t start = segment.number * segment_bytes;
  if (address != start) {
    return fmt::format("holds WAL of {:X}/{:X}, not of {:X}/{:X}", address >> 32,
                       address & 0xFFFFFFFF, start >> 32, start & 0xFFFFFFFF);
  }
  const auto timeline = ReadAt<uint32_t>(first_page, kTimelineOffset);
  if (timeline == 0 || timeline > segment.timeline) {
    return fmt::format("is of timeline {}, not {}", timeline, segment.timeline);
  }
  return {};
}

}  // namespace backup_ext
