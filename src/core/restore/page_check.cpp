// Do pages read back carry their checksum?
#include "restore/page_check.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "cluster/page.h"
#include "cluster/relation_file.h"

namespace backup_ext {

PageCheck::PageCheck(const ManifestEntry& entry, const BackupRecord& record)
    : path_(entry.path), start_lsn_(record.start_lsn) {
  if (!record.data_checksums || record.state == "damaged" || entry.map.unit_bytes == 1) return;
  const auto name = ParseRelationFileName(BaseName(entry.path));
  if (!name) return;
  if (entry.map.unit_bytes != record.block_bytes) {
    throw Error(ErrorCode::kDamaged, fmt::format("its pages have {} bytes instead of {}",
                                                 entry.map.unit_bytes, record.block_bytes));
  }
  page_bytes_ = entry.map.unit_bytes;
  first_block_ = name->segment * record.segment_blocks;
}

void PageCheck::Update(ByteSpan pages) {
  if (page_bytes_ == 0) return;
  for (size_t offset = 0; offset + page_bytes_ <= pages.size(); offset += page_bytes_, ++block_) {
    const ByteSpan bytes = pages.subspan(offset, page_bytes_);
    const PageView page(bytes);
    if (page.is_new() || page.lsn() >= start_lsn_) continue;
    const uint16_t expected = PageChecksum(bytes, first_block_ + block_);
    if (expected == page.checksum()) continue;
    throw Error(ErrorCode::kDamaged,
                fmt::format("wrong checksum in block {} of file \"{}\"", block_, path_),
                fmt::format("Calculated {}, found {}.", expected, page.checksum()));
  }
}

}  // namespace backup_ext
