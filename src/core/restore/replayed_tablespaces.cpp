// Keeps the replay of WAL away from the tablespaces of the origin.
#include "restore/replayed_tablespaces.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lsn.h"
#include "cluster/wal_file.h"
#include "cluster/wal_layout.h"
#include "cluster/wal_records.h"

namespace backup_ext {
namespace {

constexpr uint8_t kTablespaceCreate = 0x00;
// What may stand between the header of a record without blocks and its data.
// Source: src/include/access/xlogrecord.h.
constexpr uint8_t kShortData = 255;
constexpr uint8_t kLongData = 254;
constexpr uint8_t kOrigin = 253;
constexpr uint8_t kTopTransaction = 252;
constexpr size_t kTablespaceOidBytes = 4;

// The WAL of a backup, wherever it lies.
class WalBytes {
 public:
  WalBytes(const BackupRecord& record, const WalFiles& files)
      : segment_bytes_(record.wal_segment_bytes), files_(files), ranges_(WalRangesOf(record)) {}
  virtual ~WalBytes() = default;
  WalBytes(const WalBytes&) = delete;
  WalBytes& operator=(const WalBytes&) = delete;

  // Fills `bytes` and returns true; false when there is no such WAL.
  [[nodiscard]] virtual bool Read(uint64_t lsn, std::span<std::byte> bytes) = 0;
  virtual void Replace(uint64_t lsn, ByteSpan before, ByteSpan after) = 0;

  [[nodiscard]] uint32_t PageBytes(uint64_t lsn) {
    std::array<std::byte, kLongWalPageHeaderBytes> header{};
    uint32_t page_bytes = 0;
    if (Read(lsn - lsn % segment_bytes_, header)) {
      page_bytes = LoadAt<uint32_t>(header, kWalPageBlockBytesOffset);
    }
    if (page_bytes < 1024 || page_bytes > 65536 || segment_bytes_ % page_bytes != 0) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("the WAL at {} has no page header", FormatLsn(lsn)));
    }
    return page_bytes;
  }

 protected:
  // Of several timelines' segments of one number, recovery reads the newest.
  [[nodiscard]] std::optional<std::string> NameOf(uint64_t number) const {
    uint32_t newest = 0;
    for (const WalRange& range : ranges_) {
      const std::string name = WalSegmentName({range.timeline, number}, segment_bytes_);
      if (files_.count(name) != 0) newest = std::max(newest, range.timeline);
    }
    if (newest == 0) return std::nullopt;
    return WalSegmentName({newest, number}, segment_bytes_);
  }

  const uint32_t segment_bytes_;
  const WalFiles& files_;

 private:
  const std::vector<WalRange> ranges_;
};

// The segments of pg_wal, one open at a time.
class StagedWal : public WalBytes {
 public:
  StagedWal(const StageTree& tree, const BackupRecord& record, const WalFiles& files)
      : WalBytes(record, files),
        directory_(tree.OpenDirectory("pg_wal")),
        path_(tree.FullPath("pg_wal")) {}

  [[nodiscard]] bool Read(uint64_t lsn, std::span<std::byte> bytes) override {
    if (!Open(lsn / segment_bytes_)) return false;
    return ReadAt(file_.get(), bytes.data(), bytes.size(), lsn % segment_bytes_, name_) ==
           bytes.size();
  }

  // In every file of the segment that holds `before` there, not only in the one that recovery
  // reads: that of the timeline before has the same records up to its end.
  void Replace(uint64_t lsn, ByteSpan before, ByteSpan after) override {
    const uint64_t offset = lsn % segment_bytes_;
    Bytes found(before.size());
    for (const auto& [name, size] : files_) {
      const auto segment = ParseWalSegmentName(name, segment_bytes_);
      if (!segment || segment->number != lsn / segment_bytes_) continue;
      const FileDescriptor file = OpenSegment(name);
      const std::string path = JoinPath(path_, name);
      if (ReadAt(file.get(), found.data(), found.size(), offset, path) == found.size() &&
          std::ranges::equal(found, before)) {
        WriteAllAt(file.get(), after, offset, path);
      }
    }
  }

 private:
  [[nodiscard]] bool Open(uint64_t number) {
    if (file_.valid() && number == number_) return true;
    file_ = FileDescriptor();
    const std::optional<std::string> name = NameOf(number);
    if (!name) return false;
    name_ = JoinPath(path_, *name);
    number_ = number;
    file_ = OpenSegment(*name);
    return true;
  }

  [[nodiscard]] FileDescriptor OpenSegment(const std::string& name) const {
    int fd;
    do {
      fd = openat(directory_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) throw SystemError(fmt::format("open file \"{}\"", JoinPath(path_, name)), errno);
    return FileDescriptor(fd);
  }

  const FileDescriptor directory_;
  const std::string path_;
  FileDescriptor file_;
  uint64_t number_ = 0;
  std::string name_;
};

// Segments that are in no directory, one in memory at a time. They are only looked at.
class StoredWal : public WalBytes {
 public:
  StoredWal(const BackupRecord& record, const WalFiles& files, const ReadSegment& read_segment)
      : WalBytes(record, files), read_segment_(read_segment) {}

  [[nodiscard]] bool Read(uint64_t lsn, std::span<std::byte> bytes) override {
    const uint64_t number = lsn / segment_bytes_;
    if (segment_.empty() || number != number_) {
      const std::optional<std::string> name = NameOf(number);
      if (!name) return false;
      segment_ = read_segment_(*name);
      number_ = number;
    }
    const uint64_t offset = lsn % segment_bytes_;
    if (offset + bytes.size() > segment_.size()) return false;
    std::copy_n(segment_.begin() + static_cast<ptrdiff_t>(offset), bytes.size(), bytes.begin());
    return true;
  }

  void Replace(uint64_t /*lsn*/, ByteSpan /*before*/, ByteSpan /*after*/) override {}

 private:
  const ReadSegment& read_segment_;
  Bytes segment_;
  uint64_t number_ = 0;
};

// The number and the directory, with the zero at its end, in a record of CREATE TABLESPACE. Nothing
// when the record is not made like one.
std::optional<std::span<std::byte>> ContentOf(std::span<std::byte> record) {
  size_t offset = kWalRecordHeaderBytes;
  while (offset < record.size()) {
    const auto id = static_cast<uint8_t>(record[offset++]);
    if (id == kOrigin) {
      offset += sizeof(uint16_t);
      continue;
    }
    if (id == kTopTransaction) {
      offset += sizeof(uint32_t);
      continue;
    }
    if (id != kShortData && id != kLongData) return std::nullopt;
    offset += id == kShortData ? sizeof(uint8_t) : sizeof(uint32_t);
    if (offset + kTablespaceOidBytes >= record.size()) return std::nullopt;
    return record.subspan(offset);
  }
  return std::nullopt;
}

// True when the record names a directory, which is then taken out.
bool TakeDirectoryOut(WalRecord* record, uint32_t* oid) {
  const auto content = ContentOf(record->bytes);
  if (content) std::memcpy(oid, content->data(), sizeof(*oid));
  if (!content || *oid == 0) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("the WAL record at {} of a new tablespace cannot be understood",
                            FormatLsn(record->lsn)));
  }
  const auto directory = content->subspan(kTablespaceOidBytes);
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  if (std::all_of(directory.begin(), directory.end(), is_zero)) return false;
  std::fill(directory.begin(), directory.end(), std::byte{0});
  const uint32_t checksum = WalRecordChecksum(record->bytes);
  std::memcpy(record->bytes.data() + kWalRecordChecksumOffset, &checksum, sizeof(checksum));
  return true;
}

// The record may cross pages and segments.
void WriteBack(const WalRecord& record, ByteSpan before, WalBytes* wal) {
  size_t offset = 0;
  for (const WalRecord::Piece& piece : record.pieces) {
    wal->Replace(piece.lsn, before.subspan(offset, piece.bytes),
                 ByteSpan(record.bytes).subspan(offset, piece.bytes));
    offset += piece.bytes;
  }
}

ReplayedTablespaces DetachAll(const BackupRecord& record, WalBytes* wal,
                              const std::function<void()>& pause_point) {
  uint64_t begin = record.start_lsn;
  uint64_t end = record.stop_lsn;
  for (const WalRange& range : WalRangesOf(record)) {
    begin = std::min(begin, range.start_lsn);
    end = std::max(end, range.end_lsn);
  }
  WalRecordReader reader(
      begin, {record.server_version_num, record.wal_segment_bytes, wal->PageBytes(begin)},
      [wal](uint64_t lsn, std::span<std::byte> page) { return wal->Read(lsn, page); });

  ReplayedTablespaces replayed;
  Microseconds next_pause = MonotonicNow();
  while (auto found = reader.Next()) {
    if (MonotonicNow() >= next_pause) {
      pause_point();
      next_pause = MonotonicNow() + kPauseEvery;
    }
    if (found->resource_manager != kTablespaceResourceManager || found->info != kTablespaceCreate) {
      continue;
    }
    const Bytes before = found->bytes;
    uint32_t oid = 0;
    if (!TakeDirectoryOut(&*found, &oid)) {
      replayed.has_in_place = true;
      continue;
    }
    WriteBack(*found, before, wal);
    replayed.linked.insert(oid);
  }
  if (reader.position() >= end) return replayed;
  throw Error(
      ErrorCode::kDamaged,
      fmt::format("its WAL ends at {} instead of {}", FormatLsn(reader.position()), FormatLsn(end)),
      "Up to there every record carries its checksum.");
}

}  // namespace

ReplayedTablespaces DetachReplayedTablespaces(const StageTree& tree, const BackupRecord& record,
                                              const WalFiles& wal,
                                              const std::function<void()>& pause_point) {
  StagedWal staged(tree, record, wal);
  return DetachAll(record, &staged, pause_point);
}

ReplayedTablespaces FindReplayedTablespaces(const BackupRecord& record, const WalFiles& wal,
                                            const ReadSegment& read_segment,
                                            const std::function<void()>& pause_point) {
  StoredWal stored(record, wal, read_segment);
  return DetachAll(record, &stored, pause_point);
}

}  // namespace backup_ext
