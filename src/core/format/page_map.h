// The page map of one file: which frame, and which place in it, holds each page.
//
// A file of pages (a relation's segment) is mapped in units of its page size; any other file in
// units of one byte, so that small files can share a frame. A run says that `units` consecutive
// units lie one after the other in one frame. Runs cover the file from its first byte to its last,
// in order, without gap or overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "format/frame.h"

namespace backup_ext {

struct PageRun {
  uint64_t units = 0;
  uint32_t frame = 0;       // index into PageMap::frames
  uint32_t first_unit = 0;  // place in the frame, counted in units
  bool operator==(const PageRun&) const = default;
};

struct PageMap {
  uint32_t unit_bytes = 1;  // 1, or the page size
  std::vector<FrameRef> frames;
  std::vector<PageRun> runs;
  // One bit a page, lowest bit first: PD_ALL_VISIBLE of each page when it was read. Empty for
  // files in units of one byte. An incremental backup needs it (3-repository.md, "Which pages
  // changed", proof 3).
  Bytes all_visible;

  // Adds units that lie in `frame` from `first_unit` on. Joins with the last run where it can.
  void Append(uint64_t units, uint32_t frame, uint32_t first_unit);
  [[nodiscard]] uint64_t SizeBytes() const;
  // Throws Error(kDamaged) unless the runs cover exactly `size_bytes` and lie inside their frames.
  void Check(uint64_t size_bytes) const;
  bool operator==(const PageMap&) const = default;
};

void EncodePageMap(const PageMap& map, ByteWriter* out);
// Throws Error(kDamaged).
[[nodiscard]] PageMap DecodePageMap(ByteReader* in);

}  // namespace backup_ext
