// A record may begin anywhere on a page and go on over any number of pages, each with its header.
#include "cluster/wal_records.h"

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {

uint32_t WalRecordChecksum(ByteSpan record) {
  uint32_t crc = Crc32cUpdate(kCrc32cInit, record.subspan(kWalRecordHeaderBytes));
  crc = Crc32cUpdate(crc, record.first(kWalRecordChecksumOffset));
  return Crc32cFinish(crc);
}

WalRecordReader::WalRecordReader(uint64_t start_lsn, const Layout& layout, ReadPage read_page)
    : segment_bytes_(layout.segment_bytes),
      overwritten_flag_(layout.server_version_num >= 190000 ? kWalPageOverwritesRecordFrom19
                                                            : kWalPageOverwritesRecord),
      read_page_(std::move(read_page)),
      position_(start_lsn),
      page_(layout.page_bytes) {
  if (layout.page_bytes < 1024 || layout.segment_bytes % layout.page_bytes != 0) {
    throw Error(ErrorCode::kInternal, "WAL pages do not fit into their segments");
  }
}

std::optional<WalRecord> WalRecordReader::Next() {
  while (true) {
    WalRecord record;
    switch (TryNext(&record)) {
      case Outcome::kRecord:
        return record;
      case Outcome::kEnd:
        return std::nullopt;
      case Outcome::kAbandoned:
        continue;
    }
  }
}

size_t WalRecordReader::HeaderBytes(uint64_t page_lsn) const {
  return page_lsn % segment_bytes_ == 0 ? kLongWalPageHeaderBytes : kShortWalPageHeaderBytes;
}

// A recycled page still holds the address that it had.
bool WalRecordReader::LoadPage(uint64_t lsn) {
  if (has_page_ && page_lsn_ == lsn) return true;
  has_page_ = read_page_(lsn, page_) && LoadAt<uint64_t>(page_, kWalPageAddressOffset) == lsn;
  page_lsn_ = lsn;
  return has_page_;
}

WalRecordReader::Outcome WalRecordReader::TryNext(WalRecord* record) {
  const uint64_t page_bytes = page_.size();
  uint64_t page_lsn = position_ - position_ % page_bytes;
  uint64_t offset = position_ % page_bytes;
  if (offset == 0) offset = HeaderBytes(page_lsn);
  if (offset % kWalRecordAlignment != 0 || offset < HeaderBytes(page_lsn)) return Outcome::kEnd;
  if (!LoadPage(page_lsn)) return Outcome::kEnd;
  record->lsn = page_lsn + offset;

  // Aligned, so that at least the length is on the first page.
  const auto total_bytes = LoadAt<uint32_t>(page_, offset);
  if (total_bytes < kWalRecordHeaderBytes) return Outcome::kEnd;
  while (true) {
    const size_t left = total_bytes - record->bytes.size();
    const size_t count = std::min<size_t>(left, page_bytes - offset);
    record->bytes.insert(record->bytes.end(), page_.begin() + static_cast<ptrdiff_t>(offset),
                         page_.begin() + static_cast<ptrdiff_t>(offset + count));
    record->pieces.push_back({page_lsn + offset, count});
    offset += count;
    if (count == left) break;
    page_lsn += page_bytes;
    if (!LoadPage(page_lsn)) return Outcome::kEnd;
    offset = HeaderBytes(page_lsn);
    const auto info = LoadAt<uint16_t>(page_, kWalPageInfoOffset);
    if ((info & overwritten_flag_) != 0) {
      position_ = page_lsn;
      return Outcome::kAbandoned;
    }
    if ((info & kWalPageContinuesRecord) == 0 ||
        LoadAt<uint32_t>(page_, kWalPageRestOffset) != left - count) {
      return Outcome::kEnd;
    }
  }
  if (LoadAt<uint32_t>(record->bytes, kWalRecordChecksumOffset) !=
      WalRecordChecksum(record->bytes)) {
    return Outcome::kEnd;
  }
  record->resource_manager = LoadAt<uint8_t>(record->bytes, kWalRecordManagerOffset);
  record->info = LoadAt<uint8_t>(record->bytes, kWalRecordInfoOffset) & kWalRecordManagersInfo;
  position_ =
      page_lsn + (offset + kWalRecordAlignment - 1) / kWalRecordAlignment * kWalRecordAlignment;
  if (record->resource_manager == kXlogResourceManager && record->info == kXlogSwitch) {
    position_ = (position_ + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_;
  }
  return Outcome::kRecord;
}

}  // namespace backup_ext
