// Do pages read back carry their checksum, at the place where they are?
#include "cluster/page_check.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "cluster/page.h"
#include "cluster/relation_file.h"

namespace backup_ext {

PageCheck::PageCheck(std::string_view path, uint32_t unit_bytes, const PageRules& rules)
    : path_(path), start_lsn_(rules.start_lsn) {
  if (!rules.are_judged || unit_bytes == 1) return;
  const auto name = ParseRelationFileName(BaseName(path_));
  if (!name) return;
  if (unit_bytes != rules.page_bytes) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("its pages have {} bytes instead of {}", unit_bytes, rules.page_bytes));
  }
  page_bytes_ = unit_bytes;
  first_block_ = name->segment * rules.segment_pages;
}

std::optional<WrongPage> PageCheck::Update(ByteSpan pages) {
  if (page_bytes_ == 0) return std::nullopt;
  std::optional<WrongPage> wrong;
  for (size_t offset = 0; offset + page_bytes_ <= pages.size(); offset += page_bytes_, ++block_) {
    const ByteSpan bytes = pages.subspan(offset, page_bytes_);
    const PageView page(bytes);
    if (wrong || page.is_new() || page.lsn() >= start_lsn_) continue;
    const uint16_t expected = PageChecksum(bytes, first_block_ + block_);
    if (expected == page.checksum()) continue;
    wrong = {block_, fmt::format("wrong checksum in block {} of file \"{}\"", block_, path_),
             fmt::format("Calculated {}, found {}.", expected, page.checksum())};
  }
  return wrong;
}

}  // namespace backup_ext
