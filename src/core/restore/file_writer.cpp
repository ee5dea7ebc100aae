// One file of a backup, from its frames: checked while it is written. One writer a thread.
#include "restore/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/page_check.h"
#include "cluster/wal_file.h"

namespace backup_ext {
namespace {

// Runs of a few pages, as incremental backups make them, are written together.
constexpr size_t kWriteBytes = 256 * 1024;

ByteSpan UnitsOfRun(const ManifestEntry& entry, const PageRun& run, ByteSpan plain) {
  const uint64_t unit = entry.map.unit_bytes;
  const uint64_t units = unit == 0 ? 0 : plain.size() / unit;
  if (run.first_unit > units || run.units > units - run.first_unit) {
    throw Error(ErrorCode::kDamaged, "its page map goes beyond a frame");
  }
  return plain.subspan(run.first_unit * unit, run.units * unit);
}

// A segment is recycled under a new name later: a short one would then grow while WAL is written.
void FillUp(uint64_t size, uint64_t full_size, const std::function<void(ByteSpan)>& piece) {
  const Bytes zeros(std::min<uint64_t>(full_size - std::min(size, full_size), 1024 * 1024));
  while (size < full_size) {
    const ByteSpan part = ByteSpan(zeros).first(std::min<uint64_t>(zeros.size(), full_size - size));
    piece(part);
    size += part.size();
  }
}

// A backup that says itself that pages are damaged is restored as it is.
PageRules RulesOf(const BackupRecord& record) {
  return {.are_judged = record.data_checksums && record.state != "damaged",
          .start_lsn = record.start_lsn,
          .page_bytes = record.block_bytes,
          .segment_pages = record.segment_blocks};
}

// How much of a segment the backup needs. What follows is cut off, so that recovery ends there by
// itself: it may hold records that a copy must not replay, and no record may follow at which a
// recovery target could be noticed.
uint64_t NeededWal(const ManifestEntry& entry, const BackupRecord& record) {
  const auto segment = ParseWalSegmentName(BaseName(entry.path), record.wal_segment_bytes);
  if (!segment || record.stop_lsn == 0) return entry.size_bytes;
  const uint64_t begin = segment->number * record.wal_segment_bytes;
  return begin >= record.stop_lsn ? 0 : std::min(entry.size_bytes, record.stop_lsn - begin);
}

}  // namespace

int64_t MtimeSeconds(const ManifestEntry& entry) {
  return entry.mtime_ns > 0 ? entry.mtime_ns / 1'000'000'000 : Now() / kMicrosecondsPerSecond;
}

FileWriter::FileWriter(Surroundings surroundings)
    : at_(std::move(surroundings)), frames_(*at_.repository, at_.open_packs) {}

// A frame that is there whole, by its digest, is not read.
ByteSpan FileWriter::BytesOfRun(const ManifestEntry& entry, const PageRun& run, uint64_t offset) {
  const FrameRef& frame = entry.map.frames[run.frame];
  const bool is_whole =
      run.first_unit == 0 && run.units * entry.map.unit_bytes == frame.plain_bytes;
  if (earlier_ != nullptr && is_whole && frame.plain_bytes <= kFramePlainLimitBytes) {
    const ByteSpan there = earlier_->ReadIfEqual(offset, frame);
    if (!there.empty()) {
      frames_.Skip();
      return there;
    }
  }
  return UnitsOfRun(entry, run, frames_.Read(frame, at_.packs->Get(frame.pack)));
}

void FileWriter::CheckedPieces(const ManifestEntry& entry, const Piece& piece) {
  const bool by_content = entry.map.unit_bytes == 1;
  PageCheck pages(entry.path, entry.map.unit_bytes, RulesOf(*at_.record));
  Xxh3Stream digest;
  uint64_t size = 0;
  frames_.BeginFile(entry.map);
  for (const PageRun& run : entry.map.runs) {
    if (run.frame >= entry.map.frames.size()) {
      throw Error(ErrorCode::kDamaged, "its page map names no such frame");
    }
    const ByteSpan bytes = BytesOfRun(entry, run, size);
    if (const auto wrong = pages.Update(bytes)) {
      throw Error(ErrorCode::kDamaged, wrong->problem, wrong->detail);
    }
    if (by_content) digest.Update(bytes);
    size += bytes.size();
    piece(bytes);
    at_.progress->bytes_done += bytes.size();
    if (at_.should_stop()) return;
  }
  if (size != entry.size_bytes) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("its page map covers {} of {} bytes", size, entry.size_bytes));
  }
  if (by_content && digest.Finish() != entry.content) {
    throw Error(ErrorCode::kDamaged, "its content is not what was backed up",
                "Its frames are sound, but their digest together differs from the manifest's.");
  }
}

void FileWriter::ForEachPiece(const ManifestEntry& entry, const Piece& piece) {
  try {
    CheckedPieces(entry, piece);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDamaged && error.code() != ErrorCode::kNotFound) throw;
    // A pack that is not there is damage too: the manifest promises it.
    throw Error(ErrorCode::kDamaged,
                fmt::format("could not restore file \"{}\": {}", entry.path, error.message()),
                error.detail(), error.hint());
  }
}

void FileWriter::ForEachWrittenPiece(const ManifestEntry& entry, const Piece& piece) {
  if (entry.file_kind != FileKind::kWal) {
    ForEachPiece(entry, piece);
    return;
  }
  const uint64_t kept = NeededWal(entry, *at_.record);
  uint64_t size = 0;
  ForEachPiece(entry, [&](ByteSpan bytes) {
    bytes = bytes.first(std::min<uint64_t>(bytes.size(), kept - size));
    size += bytes.size();
    piece(bytes);
  });
  if (!at_.should_stop()) FillUp(size, at_.record->wal_segment_bytes, piece);
}

void FileWriter::Write(const ManifestEntry& entry, const std::string& destination) {
  if (auto file = at_.tree->OpenEarlierFile(destination)) {
    Mend(entry, destination, std::move(*file));
  } else {
    WriteNew(entry, destination);
  }
}

// Small files share a frame, but each has a digest of its own.
bool FileWriter::IsRight(const ManifestEntry& entry, EarlierFile* file, uint32_t* crc) {
  if (entry.map.unit_bytes != 1 || entry.file_kind == FileKind::kWal ||
      entry.size_bytes > kFramePlainLimitBytes || file->size_bytes() != entry.size_bytes) {
    return false;
  }
  const ByteSpan there = file->Read(0, entry.size_bytes);
  if (there.size() != entry.size_bytes || Xxh3Digest(there) != entry.content) return false;
  *crc = Crc32cUpdate(*crc, there);
  at_.progress->bytes_done += entry.size_bytes;
  return true;
}

void FileWriter::Mend(const ManifestEntry& entry, const std::string& destination,
                      FileDescriptor descriptor) {
  EarlierFile file(std::move(descriptor), at_.tree->FullPath(destination));
  uint32_t crc = kCrc32cInit;
  uint64_t size = 0;
  if (IsRight(entry, &file, &crc)) {
    size = entry.size_bytes;
  } else {
    earlier_ = &file;
    const ScopeExit done([this] { earlier_ = nullptr; });
    ForEachWrittenPiece(entry, [&](ByteSpan bytes) {
      crc = Crc32cUpdate(crc, bytes);
      file.Put(size, bytes);
      size += bytes.size();
    });
  }
  if (at_.should_stop()) return;
  file.Finish(size);
  at_.tree->SealFile(file.fd(), entry.mode, destination);
  kept_bytes_ += size - std::min(size, file.written_bytes());
  at_.manifest->Add(destination, size, MtimeSeconds(entry), Crc32cFinish(crc));
  at_.progress->files_done += 1;
}

void FileWriter::WriteNew(const ManifestEntry& entry, const std::string& destination) {
  const FileDescriptor file = at_.tree->CreateFile(destination);
  const std::string full_path = at_.tree->FullPath(destination);
  uint32_t crc = kCrc32cInit;
  uint64_t size = 0;
  uint64_t flushed = 0;
  buffer_.clear();
  const auto write = [&](ByteSpan bytes) {
    WriteAll(file.get(), bytes, full_path);
    size += bytes.size();
    if (size - flushed < kWritebackBytes) return;
    // Only a hint; what must be durable is fsynced at the end.
    (void)sync_file_range(file.get(), static_cast<off_t>(flushed),
                          static_cast<off_t>(size - flushed), SYNC_FILE_RANGE_WRITE);
    flushed = size;
  };
  ForEachWrittenPiece(entry, [&](ByteSpan bytes) {
    crc = Crc32cUpdate(crc, bytes);
    if (buffer_.size() + bytes.size() > kWriteBytes) {
      write(buffer_);
      buffer_.clear();
    }
    if (bytes.size() >= kWriteBytes) {
      write(bytes);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  });
  if (at_.should_stop()) return;
  write(buffer_);
  at_.tree->SealFile(file.get(), entry.mode, destination);
  (void)sync_file_range(file.get(), static_cast<off_t>(flushed), 0, SYNC_FILE_RANGE_WRITE);
  at_.manifest->Add(destination, size, MtimeSeconds(entry), Crc32cFinish(crc));
  at_.progress->files_done += 1;
}

Bytes FileWriter::Read(const ManifestEntry& entry, uint64_t limit_bytes) {
  if (entry.size_bytes > limit_bytes) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("could not restore file \"{}\": it has {} bytes, which is too large",
                            entry.path, entry.size_bytes));
  }
  Bytes content;
  ForEachPiece(entry,
               [&](ByteSpan bytes) { content.insert(content.end(), bytes.begin(), bytes.end()); });
  at_.progress->files_done += 1;
  return content;
}

}  // namespace backup_ext
