// Writes WAL as PostgreSQL does, for tests: records one after the other, cut at pages.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "cluster/wal_records.h"

namespace backup_ext {

class WalBuilder {
 public:
  static constexpr uint32_t kPageBytes = 8192;

  WalBuilder(uint64_t start_lsn, uint32_t segment_bytes, uint32_t timeline = 1,
             uint64_t system_identifier = 1)
      : segment_bytes_(segment_bytes),
        timeline_(timeline),
        system_identifier_(system_identifier),
        position_(start_lsn) {
    (void)Page(start_lsn / kPageBytes * kPageBytes);
  }

  // Returns where it begins.
  uint64_t Add(uint8_t resource_manager, uint8_t info, std::string_view data) {
    std::string record = Header(resource_manager, info, data);
    const uint32_t checksum = WalRecordChecksum(AsBytes(record));
    std::memcpy(record.data() + kWalRecordChecksumOffset, &checksum, sizeof(checksum));
    return Put(record, record.size());
  }
  // Only its first `bytes`, and the next page says that it was given up.
  void AddAbandoned(std::string_view data, size_t bytes, uint16_t overwritten = 0x0008) {
    Put(Header(10, 0, data), bytes);
    position_ = (position_ + kPageBytes - 1) / kPageBytes * kPageBytes;
    Set(position_ + 2, &overwritten, sizeof(overwritten));
  }
  void Switch() {
    Add(kXlogResourceManager, 0x40, "");
    position_ = (position_ + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_;
  }
  // CREATE TABLESPACE: the number, the directory, a zero.
  uint64_t AddTablespace(uint32_t oid, std::string_view directory) {
    std::string data(reinterpret_cast<const char*>(&oid), sizeof(oid));
    data += directory;
    return Add(kTablespaceResourceManager, 0, data + '\0');
  }
  // Fills up with one record that ends exactly at `lsn`.
  void FillTo(uint64_t lsn) {
    const std::string header = Header(10, 0, std::string(300, 'f'));
    const size_t overhead = header.size() - 300;
    Add(10, 0, std::string(lsn - position() - overhead, 'f'));
  }

  // Where the next record will begin.
  [[nodiscard]] uint64_t position() const {
    return position_ % kPageBytes == 0 ? position_ + HeaderBytes(position_) : position_;
  }
  [[nodiscard]] std::string Segment(uint64_t number) const {
    std::string segment(segment_bytes_, '\0');
    for (const auto& [lsn, page] : pages_) {
      if (lsn / segment_bytes_ != number) continue;
      segment.replace(lsn % segment_bytes_, page.size(), page);
    }
    return segment;
  }

 private:
  [[nodiscard]] size_t HeaderBytes(uint64_t page) const {
    return page % segment_bytes_ == 0 ? 40 : 24;
  }

  static std::string Header(uint8_t resource_manager, uint8_t info, std::string_view data) {
    ByteWriter out;
    out.PutU32(0);
    out.PutU32(700);
    out.PutU64(0);
    out.PutU8(info);
    out.PutU8(resource_manager);
    out.PutU16(0);
    out.PutU32(0);
    if (data.size() > 255) {
      out.PutU8(254);
      out.PutU32(static_cast<uint32_t>(data.size()));
    } else if (!data.empty()) {
      out.PutU8(255);
      out.PutU8(static_cast<uint8_t>(data.size()));
    }
    out.PutBytes(AsBytes(data));
    std::string record(AsText(out.bytes()));
    const auto length = static_cast<uint32_t>(record.size());
    std::memcpy(record.data(), &length, sizeof(length));
    return record;
  }

  std::string& Page(uint64_t lsn) {
    const auto found = pages_.find(lsn);
    if (found != pages_.end()) return found->second;
    ByteWriter out;
    const bool is_first = lsn % segment_bytes_ == 0;
    out.PutU16(0xD110);
    out.PutU16(is_first ? 2 : 0);
    out.PutU32(timeline_);
    out.PutU64(lsn);
    out.PutU64(0);
    if (is_first) {
      out.PutU64(system_identifier_);
      out.PutU32(segment_bytes_);
      out.PutU32(kPageBytes);
    }
    std::string page(AsText(out.bytes()));
    page.resize(kPageBytes, '\0');
    return pages_[lsn] = page;
  }

  void Set(uint64_t lsn, const void* bytes, size_t count) {
    std::memcpy(Page(lsn / kPageBytes * kPageBytes).data() + lsn % kPageBytes, bytes, count);
  }

  // The first `count` bytes of `record`.
  uint64_t Put(std::string_view record, size_t count) {
    position_ = position();
    const uint64_t begin = position_;
    for (size_t done = 0; done < count;) {
      if (position_ % kPageBytes == 0) {
        const uint16_t info = position_ % segment_bytes_ == 0 ? 3 : 1;
        const auto left = static_cast<uint32_t>(record.size() - done);
        Set(position_ + 2, &info, sizeof(info));
        Set(position_ + 16, &left, sizeof(left));
        position_ += HeaderBytes(position_);
      }
      const size_t part = std::min<size_t>(count - done, kPageBytes - position_ % kPageBytes);
      Set(position_, record.data() + done, part);
      done += part;
      position_ += part;
    }
    position_ = (position_ + 7) / 8 * 8;
    return begin;
  }

  const uint32_t segment_bytes_;
  const uint32_t timeline_;
  const uint64_t system_identifier_;
  uint64_t position_;
  std::map<uint64_t, std::string> pages_;
};

}  // namespace backup_ext
