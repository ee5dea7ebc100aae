// Reads a file frame by frame, in one thread or in several.
#include "backup/copy_file.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>

#include "backup/copy_changes.h"
#include "base/digest.h"
#include "cluster/page.h"
#include "format/frame.h"

namespace backup_ext {
namespace {

// True for a piece that lies in a hole: it is zeros, and nothing was read.
bool ReadPiece(CopyEnvironment* environment, Worker* worker, const SourceFile& source,
               uint64_t offset, std::span<std::byte> plain, DamageList* damage) {
  if (source.NextData(offset) >= offset + plain.size()) {
    std::ranges::fill(plain, std::byte{0});
    return true;
  }
  environment->AwaitTurn(plain.size());
  worker->pages.Read(source.readable(), offset, plain, damage);
  return false;
}

// Stores the bytes from `begin` to `end` and adds them to `*map`. False when the run is to stop.
bool CopyRange(CopyEnvironment* environment, Worker* worker, const SourceFile& source,
               uint64_t begin, uint64_t end, PageMap* map, DamageList* damage, Xxh3Stream* digest,
               const AuditedFile* audited) {
  const uint32_t unit_bytes = source.entry().map.unit_bytes;
  const ReadableFile file = source.readable();
  map->unit_bytes = unit_bytes;
  std::optional<uint32_t> hole;  // the frame of zeros that all holes share
  for (uint64_t offset = begin; offset < end; offset += kFramePlainLimitBytes) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(kFramePlainLimitBytes, end - offset));
    const std::span<std::byte> plain = std::span(worker->buffer).first(count);
    const bool is_hole = ReadPiece(environment, worker, source, offset, plain, damage);
    if (environment->stop) return false;
    if (digest != nullptr) digest->Update(plain);
    if (source.is_in_pages()) {
      AppendVisibility(plain, unit_bytes, (offset - begin) / unit_bytes, &map->all_visible);
      if (audited != nullptr) worker->auditor->Check(*audited, file, offset / unit_bytes, plain);
    }
    const bool is_stored = is_hole && hole;
    const auto frame = is_stored ? *hole : static_cast<uint32_t>(map->frames.size());
    map->Append(count / unit_bytes, frame, 0);
    if (!is_stored) map->frames.push_back(worker->packs.Write(plain));
    if (is_hole && !hole) hole = frame;
    environment->progress->bytes_done += count;
  }
  return true;
}

uint64_t PartBytes(const ScannedEntry& scanned, bool has_parent) {
  const uint64_t least = has_parent ? kPartBytesWithParent : kPartBytes;
  return least * (scanned.entry.size_bytes / (least * kPartsLimit) + 1);
}

// Parts hold whole bytes of visibility bits, so these can be put one after the other.
void AppendMap(PageMap piece, PageMap* whole) {
  const auto frames_before = static_cast<uint32_t>(whole->frames.size());
  for (const PageRun& run : piece.runs) {
    whole->Append(run.units, frames_before + run.frame, run.first_unit);
  }
  whole->frames.insert(whole->frames.end(), piece.frames.begin(), piece.frames.end());
  whole->all_visible.insert(whole->all_visible.end(), piece.all_visible.begin(),
                            piece.all_visible.end());
}

}  // namespace

void AppendVisibility(ByteSpan buffer, uint32_t page_bytes, uint64_t first_page, Bytes* bits) {
  const size_t pages = buffer.size() / page_bytes;
  bits->resize((first_page + pages + 7) / 8);
  for (size_t i = 0; i < pages; ++i) {
    if (!PageView(buffer.subspan(i * page_bytes, page_bytes)).all_visible()) continue;
    const uint64_t page = first_page + i;
    (*bits)[page / 8] |= std::byte{1} << (page % 8);
  }
}

Outcome OutcomeOfGone(const ScannedEntry& scanned, const ParentFile* parent, std::string warning) {
  if (!scanned.media || !scanned.media->is_last_look || parent == nullptr || !warning.empty()) {
    return {std::nullopt, std::move(warning)};
  }
  return {CopiedEntry{parent->entry, {}}, {}};
}

std::string ChangedWhileRead(const MediaPlace& place) {
  return fmt::format("media file \"{}\" changed while it was read", place.disk_path);
}

std::optional<CopiedEntry> CopyWholeFile(CopyEnvironment* environment, Worker* worker,
                                         const SourceFile& source) {
  posix_fadvise(source.readable().fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  CopiedEntry copied;
  copied.entry = source.entry();
  Xxh3Stream digest;
  if (!CopyRange(environment, worker, source, 0, source.size_bytes(), &copied.entry.map,
                 &copied.damage, source.is_in_pages() ? nullptr : &digest, nullptr)) {
    return std::nullopt;
  }
  if (!source.is_in_pages()) copied.entry.content = digest.Finish();
  return copied;
}

std::optional<CopiedEntry> CopyUnlessSame(CopyEnvironment* environment, Worker* worker,
                                          const SourceFile& source, const ParentFile& parent) {
  const ManifestEntry& before = parent.entry;
  if (before.size_bytes != source.size_bytes() || before.map.unit_bytes != 1 ||
      parent.uses_dying_pack) {
    return CopyWholeFile(environment, worker, source);
  }
  Xxh3Stream digest;
  DamageList damage;
  const uint64_t size_bytes = source.size_bytes();
  for (uint64_t offset = 0; offset < size_bytes; offset += kFramePlainLimitBytes) {
    const auto count =
        static_cast<size_t>(std::min<uint64_t>(kFramePlainLimitBytes, size_bytes - offset));
    const std::span<std::byte> plain = std::span(worker->buffer).first(count);
    (void)ReadPiece(environment, worker, source, offset, plain, &damage);
    if (environment->stop) return std::nullopt;
    digest.Update(plain);
  }
  if (digest.Finish() != before.content || !damage.empty()) {
    return CopyWholeFile(environment, worker, source);
  }
  CopiedEntry copied;
  copied.entry = source.entry();
  copied.entry.content = before.content;
  copied.entry.map = before.map;
  environment->progress->bytes_done += size_bytes;
  return copied;
}

uint32_t FileInParts::CountParts(const ScannedEntry& scanned, bool has_parent) {
  if (!scanned.relation || scanned.entry.size_bytes == 0) return 1;
  return static_cast<uint32_t>((scanned.entry.size_bytes - 1) / PartBytes(scanned, has_parent) + 1);
}

FileInParts::FileInParts(CopyEnvironment* environment, EntryQueue* queue, uint64_t slot,
                         ScannedEntry scanned, std::optional<ParentFile> parent,
                         std::optional<AuditedFile> audited)
    : environment_(environment),
      queue_(queue),
      slot_(slot),
      scanned_(std::move(scanned)),
      parent_(std::move(parent)),
      part_bytes_(PartBytes(scanned_, parent_.has_value())),
      audited_(std::move(audited)),
      parts_left_(CountParts(scanned_, parent_.has_value())),
      pieces_(parts_left_) {}

const SourceFile* FileInParts::OpenOnce() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!opened_) {
    source_ = SourceFile::Open(*environment_, scanned_, &warning_);
    opened_ = true;
    if (source_ && parent_ && source_->is_in_pages()) {
      proof_ = ChoosePageProof(scanned_, source_->entry(), *parent_, environment_->facts,
                               environment_->rules);
      // Only here for the sake of packs that shall die out: nothing else of it has to be read.
      if (parent_->uses_dying_pack && parent_->entry.map.unit_bytes != 1 &&
          IsFileUnchanged(scanned_, source_->entry(), *parent_, environment_->facts,
                          environment_->rules)) {
        proof_ = {
            PageProof::Kind::kNamed, source_->size_bytes() / environment_->facts.block_bytes, {}};
      }
    }
    if (source_ && audited_) {
      FillClaim(environment_->audit, scanned_, source_->entry(), &*audited_);
    }
    // Named pages lie here and there: what follows one of them is not wanted.
    const bool is_scattered = proof_.kind == PageProof::Kind::kNamed;
    if (source_) {
      posix_fadvise(source_->readable().fd, 0, 0,
                    is_scattered ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
    }
  }
  return source_ ? &*source_ : nullptr;
}

void FileInParts::CopyPart(uint32_t part, Worker* worker) {
  if (const SourceFile* source = OpenOnce()) {
    if (source->is_in_pages()) {
      if (!CopyPages(*source, part, worker)) return;
    } else if (part == 0 && !CopyAsOne(*source, worker)) {
      return;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--parts_left_ == 0) FinishSlot();
}

// The last part takes what the file grew by since the scan; the parts of a file that shrank may be
// empty.
bool FileInParts::CopyPages(const SourceFile& source, uint32_t part, Worker* worker) {
  const bool is_last = part + 1 == pieces_.size();
  const uint64_t begin = std::min(source.size_bytes(), part * part_bytes_);
  const uint64_t end =
      is_last ? source.size_bytes() : std::min(source.size_bytes(), begin + part_bytes_);
  Piece* piece = &pieces_[part];
  if (proof_.kind == PageProof::Kind::kNone) {
    return CopyRange(environment_, worker, source, begin, end, &piece->map, &piece->damage, nullptr,
                     audited_ ? &*audited_ : nullptr);
  }
  const uint32_t page_bytes = environment_->facts.block_bytes;
  return CopyChanges(environment_, worker, source, *parent_, proof_, begin / page_bytes,
                     end / page_bytes, &piece->map, &piece->damage);
}

bool FileInParts::CopyAsOne(const SourceFile& source, Worker* worker) {
  std::optional<CopiedEntry> whole = parent_
                                         ? CopyUnlessSame(environment_, worker, source, *parent_)
                                         : CopyWholeFile(environment_, worker, source);
  if (!whole) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  whole_ = std::move(whole);
  return true;
}

void FileInParts::FinishSlot() {
  environment_->progress->files_done += 1;
  if (!source_) {
    queue_->Finish(slot_, OutcomeOfGone(scanned_, parent_ ? &*parent_ : nullptr, warning_));
    return;
  }
  if (scanned_.media && scanned_.media->is_last_look && source_->HasChanged()) {
    warning_ = ChangedWhileRead(*scanned_.media);
  }
  if (!whole_) {
    whole_.emplace();
    whole_->entry = source_->entry();
    // Pages that no summary names were not read: they are known as they were at the start of the
    // backup. A file that was written to since then must not pass for untouched later.
    if (proof_.kind == PageProof::Kind::kNamed) whole_->entry.read_at = environment_->begun_at;
    for (Piece& piece : pieces_) {
      AppendMap(std::move(piece.map), &whole_->entry.map);
      whole_->damage.Append(std::move(piece.damage));
    }
  }
  queue_->Finish(slot_, {std::move(whole_), std::move(warning_)});
}

}  // namespace backup_ext
