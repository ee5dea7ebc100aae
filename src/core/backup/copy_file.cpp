// Reads a file frame by frame, in one thread or in several.
#include "backup/copy_file.h"

#include <fcntl.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/digest.h"
#include "cluster/page.h"
#include "format/frame.h"

namespace backup_ext {
namespace {

// Stores the bytes from `begin` to `end` and adds them to `*map`. False when the run is to stop.
bool CopyRange(CopyEnvironment* environment, Worker* worker, const SourceFile& source,
               uint64_t begin, uint64_t end, PageMap* map, DamageList* damage, Xxh3Stream* digest) {
  const uint32_t unit_bytes = source.entry().map.unit_bytes;
  const ReadableFile file = source.readable();
  map->unit_bytes = unit_bytes;
  for (uint64_t offset = begin; offset < end; offset += kFramePlainLimitBytes) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(kFramePlainLimitBytes, end - offset));
    environment->rate_limiter.Acquire(count, environment->should_stop);
    const std::span<std::byte> plain = std::span(worker->buffer).first(count);
    worker->pages.Read(file, offset, plain, damage);
    if (environment->stop) return false;
    if (digest != nullptr) digest->Update(plain);
    if (source.is_in_pages()) {
      AppendVisibility(plain, unit_bytes, (offset - begin) / unit_bytes, &map->all_visible);
    }
    map->Append(count / unit_bytes, static_cast<uint32_t>(map->frames.size()), 0);
    map->frames.push_back(worker->packs.Write(plain));
    environment->progress->bytes_done += count;
  }
  return true;
}

uint64_t PartBytes(const ScannedEntry& scanned) {
  return kPartBytes * (scanned.entry.size_bytes / (kPartBytes * kPartsLimit) + 1);
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

std::optional<CopiedEntry> CopyWholeFile(CopyEnvironment* environment, Worker* worker,
                                         const SourceFile& source) {
  posix_fadvise(source.readable().fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  CopiedEntry copied;
  copied.entry = source.entry();
  Xxh3Stream digest;
  if (!CopyRange(environment, worker, source, 0, source.size_bytes(), &copied.entry.map,
                 &copied.damage, source.is_in_pages() ? nullptr : &digest)) {
    return std::nullopt;
  }
  if (!source.is_in_pages()) copied.entry.content = digest.Finish();
  return copied;
}

uint32_t FileInParts::CountParts(const ScannedEntry& scanned) {
  if (!scanned.relation || scanned.entry.size_bytes == 0) return 1;
  return static_cast<uint32_t>((scanned.entry.size_bytes - 1) / PartBytes(scanned) + 1);
}

FileInParts::FileInParts(CopyEnvironment* environment, EntryQueue* queue, uint64_t slot,
                         ScannedEntry scanned)
    : environment_(environment),
      queue_(queue),
      slot_(slot),
      scanned_(std::move(scanned)),
      part_bytes_(PartBytes(scanned_)),
      parts_left_(CountParts(scanned_)),
      pieces_(parts_left_) {}

const SourceFile* FileInParts::OpenOnce() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!opened_) {
    source_ = SourceFile::Open(*environment_, scanned_, &warning_);
    opened_ = true;
    if (source_) posix_fadvise(source_->readable().fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  return source_ ? &*source_ : nullptr;
}

void FileInParts::CopyPart(uint32_t part, Worker* worker) {
  if (const SourceFile* source = OpenOnce()) {
    if (source->is_in_pages()) {
      // The last part takes what the file grew by since the scan; the parts of a file that shrank
      // may be empty.
      const bool is_last = part + 1 == pieces_.size();
      const uint64_t begin = part * part_bytes_;
      const uint64_t end =
          is_last ? source->size_bytes() : std::min(source->size_bytes(), begin + part_bytes_);
      if (!CopyRange(environment_, worker, *source, begin, end, &pieces_[part].map,
                     &pieces_[part].damage, nullptr)) {
        return;
      }
    } else if (part == 0) {
      std::optional<CopiedEntry> whole = CopyWholeFile(environment_, worker, *source);
      if (!whole) return;
      const std::lock_guard<std::mutex> lock(mutex_);
      whole_ = std::move(whole);
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--parts_left_ == 0) FinishSlot();
}

void FileInParts::FinishSlot() {
  environment_->progress->files_done += 1;
  if (!source_) {
    queue_->Finish(slot_, {std::nullopt, std::move(warning_)});
    return;
  }
  if (!whole_) {
    whole_.emplace();
    whole_->entry = source_->entry();
    for (Piece& piece : pieces_) {
      AppendMap(std::move(piece.map), &whole_->entry.map);
      whole_->damage.Append(std::move(piece.damage));
    }
  }
  queue_->Finish(slot_, {std::move(whole_), {}});
}

}  // namespace backup_ext
