// Do pages read back carry their checksum, at the place where they are?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace backup_ext {

// What a backup says of its pages.
struct PageRules {
  bool are_judged = false;  // the cluster has checksums, and no page is known to be damaged
  uint64_t start_lsn = 0;   // of the backup
  uint32_t page_bytes = 0;
  uint32_t segment_pages = 0;  // pages of a relation's segment
};

// What is wrong with a page.
struct WrongPage {
  uint32_t block = 0;  // counted in its file, from 0
  std::string problem;
  std::string detail;
};

// Judges the pages of one file, handed over in order. A page that was never initialised has no
// checksum, and one that was written since the start of the backup is mended by replay.
class PageCheck {
 public:
  // `unit_bytes`: in which the file was stored; 1 for a file that is not in pages. Throws
  // Error(kDamaged) for a relation in pages of another size than the cluster's.
  PageCheck(std::string_view path, uint32_t unit_bytes, const PageRules& rules);
  // Whole pages. The first wrong one among them.
  [[nodiscard]] std::optional<WrongPage> Update(ByteSpan pages);
  // Pages that are not handed over.
  void Skip(uint64_t pages) { block_ += static_cast<uint32_t>(pages); }

 private:
  std::string path_;
  uint64_t start_lsn_ = 0;
  uint32_t page_bytes_ = 0;   // 0: nothing to check
  uint32_t first_block_ = 0;  // of this segment, counted through all segments
  uint32_t block_ = 0;        // counted in this file
};

}  // namespace backup_ext
