// Follows the records of WAL, page by page. Of their content it knows how long it is.
//
// Source: src/include/access/xlogrecord.h, src/include/access/xlog_internal.h; the same in 15
// to 19 but for one flag of a page.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "cluster/wal_layout.h"

namespace backup_ext {

struct WalRecord {
  // A part of it that lies on one page.
  struct Piece {
    uint64_t lsn = 0;
    size_t bytes = 0;
  };
  uint64_t lsn = 0;
  uint8_t resource_manager = 0;
  uint8_t info = 0;  // what kind of record: the bits of the resource manager alone
  Bytes bytes;       // header included
  std::vector<Piece> pieces;
};

// The checksum that belongs into the header of `record`, whatever is there.
[[nodiscard]] uint32_t WalRecordChecksum(ByteSpan record);

class WalRecordReader {
 public:
  // Fills `page`, which begins at `lsn`, and returns true; false when there is no such page.
  using ReadPage = std::function<bool(uint64_t lsn, std::span<std::byte> page)>;

  struct Layout {
    uint32_t server_version_num = 0;  // 150018
    uint32_t segment_bytes = 0;
    uint32_t page_bytes = 0;  // the WAL block size
  };
  // `start_lsn` is where a record begins.
  WalRecordReader(uint64_t start_lsn, const Layout& layout, ReadPage read_page);

  // The next record that is whole and carries its checksum. Nothing at the first that does not, and
  // where pages end: the end of WAL, as recovery sees it.
  [[nodiscard]] std::optional<WalRecord> Next();
  // Where the next record begins: the end of WAL once Next() found nothing.
  [[nodiscard]] uint64_t position() const { return position_; }

 private:
  enum class Outcome { kRecord, kEnd, kAbandoned };
  [[nodiscard]] Outcome TryNext(WalRecord* record);
  [[nodiscard]] bool LoadPage(uint64_t lsn);
  [[nodiscard]] size_t HeaderBytes(uint64_t page_lsn) const;

  const uint32_t segment_bytes_;
  const uint16_t overwritten_flag_;
  const ReadPage read_page_;
  uint64_t position_;
  Bytes page_;
  uint64_t page_lsn_ = 0;
  bool has_page_ = false;
};

}  // namespace backup_ext
