// Is WAL whole, as recovery will read it? Page headers, and every record's length, link and CRC.
//
// Source: src/backend/access/transam/xlogreader.c, XLogDecodeNextRecord(), ValidXLogRecordHeader(),
// ValidXLogRecord(), XLogReaderValidatePageHeader(); src/include/access/xlogrecord.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "cluster/needed_wal.h"
#include "cluster/wal_file.h"
#include "cluster/wal_layout.h"

namespace backup_ext {

struct WalProblem {
  uint64_t offset_bytes = 0;  // in its segment
  std::string problem;
};

// One chain of records from the start of the oldest span to the end of the newest one, fed segment
// by segment in the order of their names. Memory: one page; a record may have any length. What lies
// before the start and after the end is not judged: recycled segments hold old WAL there.
class WalCheck {
 public:
  // `spans`: newest timeline first, without gaps, as FindMissingWal() accepts them.
  WalCheck(std::vector<WalSpan> spans, uint32_t segment_bytes, uint64_t system_identifier);

  void BeginSegment(const WalSegment& segment);
  // The segment's next bytes, and bytes that could not be read.
  void Update(ByteSpan bytes);
  void Skip(uint64_t bytes);
  // The first problem of the segment. After one the chain is taken up again at the next page.
  [[nodiscard]] std::optional<WalProblem> EndSegment();

  // True when the chain has reached the end without a loss.
  [[nodiscard]] bool IsComplete() const;
  // Where the next record is expected.
  [[nodiscard]] uint64_t position() const { return position_; }

 private:
  // A record of which the first part was seen.
  struct Record {
    uint64_t lsn = 0;
    uint32_t total_bytes = 0;
    uint32_t seen_bytes = 0;
    uint32_t crc = 0;  // of what follows its header
    std::array<std::byte, kWalRecordHeaderBytes> header{};
  };
  struct PageHeader {
    uint16_t magic = 0;
    uint16_t info = 0;
    uint32_t timeline = 0;
    uint64_t address = 0;
    uint32_t rest_bytes = 0;  // of a record that began before
    size_t header_bytes = 0;
  };

  // Where the next byte that matters is.
  [[nodiscard]] uint64_t Expected() const;
  void Report(uint64_t lsn, std::string problem);
  void TakePage(ByteSpan page);
  [[nodiscard]] bool TakePageHeader(uint64_t lsn, const PageHeader& header);
  // How many bytes of the page's content come before what the chain wants next; nothing when the
  // chain cannot go on in this page.
  [[nodiscard]] std::optional<size_t> PlaceInPage(uint64_t lsn, const PageHeader& header,
                                                  size_t page_bytes);
  void TakeRecords(uint64_t lsn, ByteSpan bytes);
  [[nodiscard]] bool BeginRecord(uint64_t lsn, ByteSpan bytes);
  [[nodiscard]] bool CheckRecordHeader();
  [[nodiscard]] bool EndRecord(uint64_t end_lsn);

  const std::vector<WalSpan> spans_;
  const uint64_t segment_bytes_;
  const uint64_t system_identifier_;

  WalSegment segment_;
  uint64_t next_lsn_ = 0;    // of the segment's next byte
  uint64_t limit_lsn_ = 0;   // the segment is not judged from here on
  uint32_t page_bytes_ = 0;  // 0: the first page did not say
  Bytes page_;               // the beginning of a page
  std::optional<WalProblem> problem_;

  uint64_t position_ = 0;
  uint64_t end_ = 0;
  uint16_t magic_ = 0;     // of the first page
  uint32_t timeline_ = 0;  // of the last page
  bool is_lost_ = false;
  bool was_lost_ = false;
  uint64_t record_before_ = 0;  // 0: not known
  std::optional<Record> record_;
  uint64_t record_reaches_ = 0;  // so far
};

}  // namespace backup_ext
