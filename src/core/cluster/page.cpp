// Page headers, and the data checksum.
#include "cluster/page.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "cluster/page_sum.h"

namespace backup_ext {
namespace {

// PageHeaderData: two halves of pd_lsn, then 16 bits each of checksum, flags, lower, upper.
constexpr size_t kLsnHighOffset = 0;
constexpr size_t kLsnLowOffset = 4;
constexpr size_t kFlagsOffset = 10;
constexpr size_t kUpperOffset = 14;
constexpr uint16_t kAllVisibleFlag = 0x0004;

template <typename T>
T LoadIfThere(ByteSpan page, size_t offset) {
  return page.size() >= offset + sizeof(T) ? LoadAt<T>(page, offset) : T{0};
}

uint32_t SumPage(ByteSpan page) {
#if defined(__x86_64__)
  if (HasAvx2()) return SumPageAvx2(page.data(), page.size());
#endif
  return SumPagePlain(page.data(), page.size());
}

}  // namespace

uint64_t PageView::lsn() const {
  return uint64_t{LoadIfThere<uint32_t>(page_, kLsnHighOffset)} << 32 |
         LoadIfThere<uint32_t>(page_, kLsnLowOffset);
}

uint16_t PageView::checksum() const { return LoadIfThere<uint16_t>(page_, kPageChecksumOffset); }

bool PageView::is_new() const { return LoadIfThere<uint16_t>(page_, kUpperOffset) == 0; }

bool PageView::is_zero() const {
  if (page_.empty()) return true;
  // Equal to itself moved by one byte: all bytes are the first one.
  return page_[0] == std::byte{0} &&
         std::memcmp(page_.data(), page_.data() + 1, page_.size() - 1) == 0;
}

bool PageView::all_visible() const {
  return (LoadIfThere<uint16_t>(page_, kFlagsOffset) & kAllVisibleFlag) != 0;
}

uint16_t PageChecksum(ByteSpan page, uint32_t block) {
  if (!std::has_single_bit(page.size()) || page.size() < 1024 || page.size() > 32768) {
    throw Error(ErrorCode::kInternal,
                fmt::format("cannot compute the checksum of a page of {} bytes", page.size()));
  }
  // Never 0, so that a field that was never set does not look right.
  return static_cast<uint16_t>((SumPage(page) ^ block) % 65535 + 1);
}

}  // namespace backup_ext
