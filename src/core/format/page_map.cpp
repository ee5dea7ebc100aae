// Page maps: appending, checking, and their compact encoding.
//
// Encoding, documented in doc/repository_format.md, "Page map" (V: varint, S: signed varint):
//   V unit_bytes
//   V count of frames, then each: S pack - pack before; S offset_bytes - end of the frame before
//     (0 in another pack); V stored_bytes; V plain_bytes; 8 bytes digest
//   V count of runs, then each: V units; S frame - (frame before + 1); V first_unit
//   string all_visible
// "Before" the first frame come pack 0 and end 0; before the first run, frame -1.
#include "format/page_map.h"

#include <fmt/core.h>

#include <bit>
#include <limits>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr uint32_t kSmallestPageBytes = 1024;
constexpr uint32_t kLargestPageBytes = 32 * 1024;
// What one frame and one run take at least: a count is believed only when so much is left.
constexpr size_t kSmallestFrameBytes = 12;
constexpr size_t kSmallestRunBytes = 3;

[[noreturn]] void ThrowDamagedMap(std::string_view problem) {
  throw Error(ErrorCode::kDamaged, fmt::format("invalid page map: {}", problem));
}

size_t GetCount(ByteReader* in, size_t smallest_bytes) {
  const uint64_t count = in->GetVarint();
  if (count > in->remaining() / smallest_bytes) {
    ThrowDamagedMap("count exceeds what follows");
  }
  return static_cast<size_t>(count);
}

uint32_t GetU32OfMap(ByteReader* in) {
  const uint64_t value = in->GetVarint();
  if (value > std::numeric_limits<uint32_t>::max()) {
    ThrowDamagedMap("number out of range");
  }
  return static_cast<uint32_t>(value);
}

// A number stored as its difference to `base`.
uint32_t GetU32Difference(ByteReader* in, int64_t base) {
  // Wraps where a signed sum would overflow; a wrapped one is out of range too.
  const uint64_t value = static_cast<uint64_t>(base) + static_cast<uint64_t>(in->GetSignedVarint());
  if (value > std::numeric_limits<uint32_t>::max()) {
    ThrowDamagedMap("number out of range");
  }
  return static_cast<uint32_t>(value);
}

// Where the next frame of the same pack is expected.
uint64_t ExpectedOffset(const FrameRef& before, uint32_t pack) {
  return before.pack == pack ? before.offset_bytes + before.stored_bytes : 0;
}

void CheckFrame(const FrameRef& frame) {
  constexpr auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (frame.plain_bytes == 0 || frame.plain_bytes > kFramePlainLimitBytes) {
    ThrowDamagedMap("frame of impossible length");
  }
  if (frame.stored_bytes <= kFrameHeaderBytes ||
      frame.stored_bytes > kFrameHeaderBytes + frame.plain_bytes) {
    ThrowDamagedMap("frame of impossible stored length");
  }
  if (frame.offset_bytes > limit - frame.stored_bytes) {
    ThrowDamagedMap("frame at an impossible offset");
  }
}

}  // namespace

void PageMap::Append(uint64_t units, uint32_t frame, uint32_t first_unit) {
  if (units == 0) {
    return;
  }
  if (!runs.empty() && runs.back().frame == frame &&
      runs.back().first_unit + runs.back().units == first_unit) {
    runs.back().units += units;
  } else {
    runs.push_back({units, frame, first_unit});
  }
}

uint64_t PageMap::SizeBytes() const {
  uint64_t units = 0;
  for (const PageRun& run : runs) {
    if (__builtin_add_overflow(units, run.units, &units)) {
      return std::numeric_limits<uint64_t>::max();
    }
  }
  uint64_t bytes = 0;
  return __builtin_mul_overflow(units, uint64_t{unit_bytes}, &bytes)
             ? std::numeric_limits<uint64_t>::max()
             : bytes;
}

void PageMap::Check(uint64_t size_bytes) const {
  if (unit_bytes != 1 && (!std::has_single_bit(unit_bytes) || unit_bytes < kSmallestPageBytes ||
                          unit_bytes > kLargestPageBytes)) {
    ThrowDamagedMap("impossible unit");
  }
  for (const FrameRef& frame : frames) {
    CheckFrame(frame);
  }
  uint64_t covered_bytes = 0;
  for (const PageRun& run : runs) {
    if (run.frame >= frames.size()) {
      ThrowDamagedMap("run in a frame that is not there");
    }
    const uint64_t frame_units = frames[run.frame].plain_bytes / unit_bytes;
    if (run.units == 0 || run.units > frame_units || run.first_unit > frame_units - run.units) {
      ThrowDamagedMap("run outside of its frame");
    }
    covered_bytes += run.units * unit_bytes;
    // Also keeps the sum from wrapping: a run adds no more than a frame holds.
    if (covered_bytes > size_bytes) {
      ThrowDamagedMap("runs cover more than the file");
    }
  }
  if (covered_bytes != size_bytes) {
    ThrowDamagedMap("runs cover less than the file");
  }
  const uint64_t pages = unit_bytes == 1 ? 0 : size_bytes / unit_bytes;
  if (!all_visible.empty() && all_visible.size() != (pages + 7) / 8) {
    ThrowDamagedMap("wrong number of visibility bits");
  }
}

void EncodePageMap(const PageMap& map, ByteWriter* out) {
  out->PutVarint(map.unit_bytes);
  out->PutVarint(map.frames.size());
  FrameRef before;
  for (const FrameRef& frame : map.frames) {
    out->PutSignedVarint(int64_t{frame.pack} - int64_t{before.pack});
    out->PutSignedVarint(
        static_cast<int64_t>(frame.offset_bytes - ExpectedOffset(before, frame.pack)));
    out->PutVarint(frame.stored_bytes);
    out->PutVarint(frame.plain_bytes);
    out->PutU64(frame.digest);
    before = frame;
  }
  out->PutVarint(map.runs.size());
  int64_t expected_frame = 0;
  for (const PageRun& run : map.runs) {
    out->PutVarint(run.units);
    out->PutSignedVarint(int64_t{run.frame} - expected_frame);
    out->PutVarint(run.first_unit);
    expected_frame = int64_t{run.frame} + 1;
  }
  out->PutString(AsText(map.all_visible));
}

PageMap DecodePageMap(ByteReader* in) {
  PageMap map;
  map.unit_bytes = GetU32OfMap(in);
  map.frames.resize(GetCount(in, kSmallestFrameBytes));
  FrameRef before;
  for (FrameRef& frame : map.frames) {
    frame.pack = GetU32Difference(in, before.pack);
    frame.offset_bytes =
        ExpectedOffset(before, frame.pack) + static_cast<uint64_t>(in->GetSignedVarint());
    frame.stored_bytes = GetU32OfMap(in);
    frame.plain_bytes = GetU32OfMap(in);
    frame.digest = in->GetU64();
    before = frame;
  }
  map.runs.resize(GetCount(in, kSmallestRunBytes));
  int64_t expected_frame = 0;
  for (PageRun& run : map.runs) {
    run.units = in->GetVarint();
    run.frame = GetU32Difference(in, expected_frame);
    run.first_unit = GetU32OfMap(in);
    expected_frame = int64_t{run.frame} + 1;
  }
  const uint64_t visible_bytes = in->GetVarint();
  if (visible_bytes > in->remaining()) {
    ThrowDamagedMap("ends early");
  }
  const ByteSpan visible = in->GetBytes(static_cast<size_t>(visible_bytes));
  map.all_visible.assign(visible.begin(), visible.end());
  return map;
}

}  // namespace backup_ext
