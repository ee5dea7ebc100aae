// WAL made by hand: pages and records as a server writes them, of random content.
//
// Source: src/include/access/xlog_internal.h, XLogPageHeaderData; xlogrecord.h, XLogRecord.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/digest.h"

namespace backup_ext {

class WalMaker {
 public:
  static constexpr uint32_t kPageBytes = 8192;

  WalMaker(uint64_t segment, uint32_t segment_bytes, uint64_t system_identifier,
           uint32_t timeline = 1)
      : segment_bytes_(segment_bytes),
        system_identifier_(system_identifier),
        timeline_(timeline),
        lsn_(segment * segment_bytes) {
    PutPageHeader(0, 0);
  }

  // Where the next record begins or the last one ended.
  [[nodiscard]] uint64_t lsn() const { return lsn_; }
  [[nodiscard]] uint64_t last_record() const { return before_; }

  // Returns where it begins.
  uint64_t Append(size_t content_bytes, uint8_t manager = 10, uint8_t info = 0) {
    Begin();
    Put(MakeRecord(content_bytes, manager, info));
    return before_;
  }
  // The first `bytes` of a record, up to the end of a page at most; then the server crashed.
  void AppendTorn(size_t content_bytes) {
    Begin();
    const uint64_t before = before_;
    Bytes record = MakeRecord(content_bytes, 10, 0);
    record.resize(kPageBytes - lsn_ % kPageBytes);
    Put(record);
    before_ = before;
    PutPageHeader(kOverwrites, 0);
  }
  // What follows lies in the next segment.
  void Switch() {
    Append(0, 0, 0x40);
    lsn_ = (lsn_ + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_;
  }
  // A promotion: what follows is written under another timeline, which begins with a copy of the
  // segment.
  void Promote(uint32_t timeline) {
    const uint64_t number = lsn_ / segment_bytes_;
    files_[{timeline, number}] = files_[{timeline_, number}];
    timeline_ = timeline;
  }

  // Filled up with what was there before: the pages of an old segment.
  [[nodiscard]] Bytes Segment(uint64_t number, uint32_t timeline = 1) {
    Bytes bytes = files_[{timeline, number}];
    while (bytes.size() < segment_bytes_) bytes.push_back(std::byte{0xAB});
    return bytes;
  }
  [[nodiscard]] const std::map<std::pair<uint32_t, uint64_t>, Bytes>& files() const {
    return files_;
  }

 private:
  static constexpr uint16_t kContinues = 1, kLong = 2, kOverwrites = 8;

  template <typename T>
  static void PutAt(Bytes* bytes, size_t offset, T value) {
    std::memcpy(bytes->data() + offset, &value, sizeof(value));
  }

  void Begin() {
    if (lsn_ % kPageBytes == 0) PutPageHeader(0, 0);
  }

  Bytes MakeRecord(size_t content_bytes, uint8_t manager, uint8_t info) {
    Bytes record(24 + content_bytes);
    for (size_t i = 24; i < record.size(); i++) record[i] = static_cast<std::byte>(random_());
    PutAt(&record, 0, static_cast<uint32_t>(record.size()));
    PutAt(&record, 4, uint32_t{777});
    PutAt(&record, 8, before_);
    PutAt(&record, 16, info);
    PutAt(&record, 17, manager);
    uint32_t crc = Crc32cUpdate(kCrc32cInit, ByteSpan(record).subspan(24));
    crc = Crc32cFinish(Crc32cUpdate(crc, ByteSpan(record).first(20)));
    PutAt(&record, 20, crc);
    before_ = lsn_;
    return record;
  }

  void Put(ByteSpan record) {
    while (!record.empty()) {
      if (lsn_ % kPageBytes == 0) PutPageHeader(kContinues, static_cast<uint32_t>(record.size()));
      const size_t count = std::min<size_t>(record.size(), kPageBytes - lsn_ % kPageBytes);
      PutBytes(record.first(count));
      record = record.subspan(count);
    }
    PutBytes(Bytes((8 - lsn_ % 8) % 8));
  }

  void PutPageHeader(uint16_t flags, uint32_t rest_bytes) {
    const bool is_long = lsn_ % segment_bytes_ == 0;
    Bytes header(is_long ? 40 : 24);
    PutAt(&header, 0, uint16_t{0xD110});
    PutAt(&header, 2, static_cast<uint16_t>(flags | (is_long ? kLong : 0)));
    PutAt(&header, 4, timeline_);
    PutAt(&header, 8, lsn_);
    PutAt(&header, 16, rest_bytes);
    if (is_long) {
      PutAt(&header, 24, system_identifier_);
      PutAt(&header, 32, segment_bytes_);
      PutAt(&header, 36, kPageBytes);
    }
    PutBytes(header);
  }

  void PutBytes(ByteSpan bytes) {
    Bytes& file = files_[{timeline_, lsn_ / segment_bytes_}];
    file.insert(file.end(), bytes.begin(), bytes.end());
    lsn_ += bytes.size();
  }

  const uint32_t segment_bytes_;
  const uint64_t system_identifier_;
  uint32_t timeline_;
  uint64_t lsn_;
  uint64_t before_ = 0x28;
  std::map<std::pair<uint32_t, uint64_t>, Bytes> files_;
  std::mt19937 random_{42};
};

}  // namespace backup_ext
