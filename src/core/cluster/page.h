// One page of a relation, as bytes.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace backup_ext {

// Views a page of `page.size()` bytes, in the byte order of this machine. A span that ends within
// the header reads as zeroes from there, as a file that shrank is padded.
// Source: src/include/storage/bufpage.h, PageHeaderData.
class PageView {
 public:
  explicit PageView(ByteSpan page) : page_(page) {}

  [[nodiscard]] uint64_t lsn() const;       // pd_lsn
  [[nodiscard]] uint16_t checksum() const;  // pd_checksum
  [[nodiscard]] bool is_new() const;        // pd_upper == 0: never initialised
  [[nodiscard]] bool is_zero() const;       // every byte
  [[nodiscard]] bool all_visible() const;   // PD_ALL_VISIBLE, 0x0004, of pd_flags

 private:
  ByteSpan page_;
};

// The checksum that the page should carry at `block` (counted through all segments of the fork).
// pd_checksum itself counts as zero. Pure: `page` is only read, any alignment will do, any thread
// may call. `page` is a power of two, 1 KiB to 32 KiB: for any other throws Error(kInternal). A new
// page has no checksum: ask is_new() first.
// Source: src/include/storage/checksum_impl.h, pg_checksum_page().
[[nodiscard]] uint16_t PageChecksum(ByteSpan page, uint32_t block);

}  // namespace backup_ext
