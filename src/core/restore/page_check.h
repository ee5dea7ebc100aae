// Do pages read back carry their checksum?
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "format/manifest.h"
#include "format/record.h"

namespace backup_ext {

// Judges the pages of one file, handed over in order. A page that was never initialised has no
// checksum; one that was written since the start of the backup is mended by replay; and a backup
// that says itself that pages are damaged is restored as it is.
class PageCheck {
 public:
  PageCheck(const ManifestEntry& entry, const BackupRecord& record);
  // Whole pages. Throws Error(kDamaged) naming file and block.
  void Update(ByteSpan pages);

 private:
  std::string path_;
  uint64_t start_lsn_ = 0;
  uint32_t page_bytes_ = 0;   // 0: nothing to check
  uint32_t first_block_ = 0;  // of this segment, counted through all segments
  uint32_t block_ = 0;        // counted in this file
};

}  // namespace backup_ext
