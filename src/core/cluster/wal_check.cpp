// Is WAL whole, as recovery will read it?
#include "cluster/wal_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/lsn.h"

namespace backup_ext {
namespace {

uint64_t Align(uint64_t value) {
  return (value + kWalRecordAlignment - 1) / kWalRecordAlignment * kWalRecordAlignment;
}

}  // namespace

WalCheck::WalCheck(std::vector<WalSpan> spans, uint32_t segment_bytes, uint64_t system_identifier)
    : spans_(std::move(spans)),
      segment_bytes_(segment_bytes),
      system_identifier_(system_identifier) {
  if (spans_.empty()) return;
  position_ = spans_.back().start_lsn;
  end_ = spans_.front().end_lsn;
}

void WalCheck::Report(uint64_t lsn, std::string problem) {
  is_lost_ = true;
  was_lost_ = true;
  record_.reset();
  if (problem_) return;
  const uint64_t begin = segment_.number * segment_bytes_;
  problem_ = {lsn > begin ? lsn - begin : 0, std::move(problem)};
}

void WalCheck::BeginSegment(const WalSegment& segment) {
  segment_ = segment;
  next_lsn_ = segment.number * segment_bytes_;
  page_.clear();
  page_bytes_ = 0;
  problem_.reset();
  const auto span = std::ranges::find(spans_, segment.timeline, &WalSpan::timeline);
  limit_lsn_ = span == spans_.end() ? 0 : span->end_lsn;
  if (limit_lsn_ <= Expected() || next_lsn_ <= Expected()) return;
  // A segment before this one is missing, which is told by FindMissingWal().
  position_ = next_lsn_;
  is_lost_ = true;
  was_lost_ = true;
  record_.reset();
}

void WalCheck::Update(ByteSpan bytes) {
  const uint64_t begin = segment_.number * segment_bytes_;
  while (!bytes.empty() && next_lsn_ < limit_lsn_) {
    const size_t wanted = page_bytes_ == 0 ? kLongWalPageHeaderBytes : page_bytes_;
    // Pages are taken where they lie, but for those that come in pieces.
    const size_t count = std::min(wanted - page_.size(), bytes.size());
    const bool is_whole = page_.empty() && count == wanted;
    if (!is_whole) page_.insert(page_.end(), bytes.begin(), bytes.begin() + count);
    const ByteSpan page = is_whole ? bytes.first(count) : ByteSpan(page_);
    if (page.size() < wanted) return;
    if (page_bytes_ == 0) {
      const std::string problem = CheckWalFirstPage(
          page, segment_, static_cast<uint32_t>(segment_bytes_), system_identifier_);
      if (!problem.empty()) {
        Report(begin, "WAL segment " + problem);
        limit_lsn_ = 0;
        return;
      }
      page_bytes_ = LoadAt<uint32_t>(page, kWalPageBlockBytesOffset);
      if (is_whole) continue;  // again, as the beginning of a page
      bytes = bytes.subspan(count);
      continue;
    }
    TakePage(page);
    next_lsn_ += page_bytes_;
    page_.clear();
    bytes = bytes.subspan(count);
  }
}

void WalCheck::Skip(uint64_t bytes) {
  const uint64_t begin = segment_.number * segment_bytes_;
  if (page_bytes_ == 0) {  // the size of a page is not known
    limit_lsn_ = 0;
    is_lost_ = was_lost_ = true;
    record_.reset();
    return;
  }
  const uint64_t end = next_lsn_ + page_.size() + bytes;
  page_.clear();
  if (next_lsn_ < limit_lsn_ && end > Expected()) {
    is_lost_ = was_lost_ = true;
    record_.reset();
  }
  // Pieces are pages in number but for the last one.
  next_lsn_ = begin + (end - begin) / page_bytes_ * page_bytes_;
}

std::optional<WalProblem> WalCheck::EndSegment() {
  if (!page_.empty() && page_bytes_ != 0 && next_lsn_ < limit_lsn_) {
    TakePage(page_);
    page_.clear();
  } else if (page_bytes_ == 0 && next_lsn_ < limit_lsn_) {
    Report(next_lsn_, "WAL segment ends within its first page header");
  }
  return std::exchange(problem_, std::nullopt);
}

uint64_t WalCheck::Expected() const { return record_ ? record_reaches_ : position_; }

bool WalCheck::IsComplete() const { return !was_lost_ && !record_ && position_ >= end_; }

void WalCheck::TakePage(ByteSpan page) {
  const uint64_t lsn = next_lsn_;
  if (lsn + page.size() <= Expected()) return;  // nothing of it is needed
  PageHeader header;
  if (page.size() >= kShortWalPageHeaderBytes) {
    header = {.magic = LoadAt<uint16_t>(page, 0),
              .info = LoadAt<uint16_t>(page, kWalPageInfoOffset),
              .timeline = LoadAt<uint32_t>(page, kWalPageTimelineOffset),
              .address = LoadAt<uint64_t>(page, kWalPageAddressOffset),
              .rest_bytes = LoadAt<uint32_t>(page, kWalPageRestOffset),
              .header_bytes = kShortWalPageHeaderBytes};
    if ((header.info & kWalPageHasLongHeader) != 0) header.header_bytes = kLongWalPageHeaderBytes;
  }
  if (header.header_bytes == 0 || page.size() < header.header_bytes) {
    if (lsn < position_) return;
    return Report(lsn, "WAL ends within a page header");
  }
  if (!TakePageHeader(lsn, header)) return;
  const std::optional<size_t> place = PlaceInPage(lsn, header, page.size());
  if (!place) return;
  const uint64_t end = std::min(limit_lsn_, lsn + page.size());
  if (end <= lsn + *place) return;
  record_reaches_ = end;
  TakeRecords(lsn + *place, page.subspan(*place, static_cast<size_t>(end - lsn) - *place));
}

bool WalCheck::TakePageHeader(uint64_t lsn, const PageHeader& header) {
  std::string problem;
  if (magic_ == 0) magic_ = header.magic;
  if (header.address != lsn) {
    problem =
        fmt::format("page of WAL {} in the place of {}", FormatLsn(header.address), FormatLsn(lsn));
  } else if (header.magic != magic_) {
    problem = fmt::format("WAL page {} has the magic number {:04X} instead of {:04X}",
                          FormatLsn(lsn), header.magic, magic_);
  } else if ((header.info & ~kAllWalPageFlags) != 0) {
    problem = fmt::format("WAL page {} has the flags {:04X}", FormatLsn(lsn), header.info);
  } else if (header.timeline < timeline_ || header.timeline > segment_.timeline) {
    problem = fmt::format("WAL page {} is of timeline {}", FormatLsn(lsn), header.timeline);
  }
  if (problem.empty()) {
    timeline_ = header.timeline;
    return true;
  }
  Report(lsn, std::move(problem));
  return false;
}

std::optional<size_t> WalCheck::PlaceInPage(uint64_t lsn, const PageHeader& header,
                                            size_t page_bytes) {
  const bool continues = (header.info & kWalPageContinuesRecord) != 0;
  if (is_lost_) {
    // The rest of a record whose beginning is not known is passed over.
    const uint64_t place = header.header_bytes + (continues ? Align(header.rest_bytes) : 0);
    if (place >= page_bytes) return std::nullopt;
    is_lost_ = false;
    record_before_ = 0;
    position_ = lsn + place;
    return static_cast<size_t>(place);
  }
  if (record_ && (header.info & kWalPageOverwritesRecord) != 0) {
    // The server crashed while it wrote the record; recovery passes over it too.
    record_.reset();
    position_ = lsn + header.header_bytes;
    return header.header_bytes;
  }
  if (record_) {
    const uint32_t rest = record_->total_bytes - record_->seen_bytes;
    if (continues && header.rest_bytes == rest) return header.header_bytes;
    Report(lsn, fmt::format("WAL page {} does not continue the record at {}", FormatLsn(lsn),
                            FormatLsn(record_->lsn)));
    return std::nullopt;
  }
  if (position_ > lsn && position_ < lsn + header.header_bytes) {
    Report(lsn, fmt::format("no WAL record can begin at {}", FormatLsn(position_)));
    return std::nullopt;
  }
  if (position_ > lsn) return static_cast<size_t>(position_ - lsn);
  if (continues) {
    Report(lsn, fmt::format("WAL page {} continues a record that did not begin", FormatLsn(lsn)));
    return std::nullopt;
  }
  position_ = lsn + header.header_bytes;
  return header.header_bytes;
}

void WalCheck::TakeRecords(uint64_t lsn, ByteSpan bytes) {
  while (!bytes.empty()) {
    if (!record_ && !BeginRecord(lsn, bytes)) return;
    Record& record = *record_;
    const auto count = static_cast<uint32_t>(
        std::min<uint64_t>(bytes.size(), record.total_bytes - record.seen_bytes));
    ByteSpan part = bytes.first(count);
    if (record.seen_bytes < kWalRecordHeaderBytes) {
      const size_t of_header =
          std::min<size_t>(part.size(), kWalRecordHeaderBytes - record.seen_bytes);
      std::copy_n(part.begin(), of_header, record.header.begin() + record.seen_bytes);
      part = part.subspan(of_header);
    }
    const bool had_header = record.seen_bytes >= kWalRecordHeaderBytes;
    record.crc = Crc32cUpdate(record.crc, part);
    record.seen_bytes += count;
    if (!had_header && record.seen_bytes >= kWalRecordHeaderBytes && !CheckRecordHeader()) return;
    lsn += count;
    bytes = bytes.subspan(count);
    if (record.seen_bytes < record.total_bytes) return;
    const uint64_t end = Align(lsn);
    if (!EndRecord(end)) return;
    if (position_ > end) return;  // a switch of segments
    bytes = bytes.subspan(std::min<size_t>(bytes.size(), end - lsn));
    lsn = end;
  }
}

bool WalCheck::BeginRecord(uint64_t lsn, ByteSpan bytes) {
  if (bytes.size() < sizeof(uint32_t)) {
    Report(lsn, fmt::format("WAL ends within the record at {}", FormatLsn(lsn)));
    return false;
  }
  const auto total = LoadAt<uint32_t>(bytes, 0);
  if (total < kWalRecordHeaderBytes) {
    Report(lsn, fmt::format("no WAL record begins at {}", FormatLsn(lsn)));
    return false;
  }
  record_ = Record{.lsn = lsn, .total_bytes = total, .crc = kCrc32cInit};
  return true;
}

bool WalCheck::CheckRecordHeader() {
  const auto before = LoadAt<uint64_t>(record_->header, kWalRecordBeforeOffset);
  if (record_before_ == 0 ? before < record_->lsn : before == record_before_) return true;
  Report(record_->lsn, fmt::format("WAL record at {} does not follow the one before it",
                                   FormatLsn(record_->lsn)));
  return false;
}

bool WalCheck::EndRecord(uint64_t end_lsn) {
  const Record record = *std::exchange(record_, std::nullopt);
  const ByteSpan header(record.header);
  const uint32_t crc =
      Crc32cFinish(Crc32cUpdate(record.crc, header.first(kWalRecordChecksumOffset)));
  if (crc != LoadAt<uint32_t>(header, kWalRecordChecksumOffset)) {
    Report(record.lsn,
           fmt::format("wrong checksum in the WAL record at {}", FormatLsn(record.lsn)));
    return false;
  }
  record_before_ = record.lsn;
  position_ = end_lsn;
  const bool is_switch =
      LoadAt<uint8_t>(header, kWalRecordManagerOffset) == kXlogResourceManager &&
      (LoadAt<uint8_t>(header, kWalRecordInfoOffset) & kWalRecordManagersInfo) == kXlogSwitch;
  // It extends to the end of its segment.
  if (is_switch) position_ = (end_lsn + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_;
  return true;
}

}  // namespace backup_ext
