// Reads small files into two frames in the making: one of pages, one of bytes.
#include "backup/copy_small_files.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "backup/change_proof.h"
#include "backup/copy_changes.h"
#include "backup/copy_file.h"
#include "backup/shared_frame.h"
#include "backup/source_file.h"
#include "base/digest.h"
#include "format/frame.h"

namespace backup_ext {
namespace {

constexpr int kMostFileReads = 5;

class Batch {
 public:
  Batch(CopyEnvironment* environment, Worker* worker, EntryQueue* queue)
      : environment_(environment),
        worker_(worker),
        queue_(queue),
        pages_(environment->facts.block_bytes, &worker->packs, queue),
        bytes_(1, &worker->packs, queue) {}

  void Copy(const SmallFile& file);
  void Flush() {
    pages_.Flush();
    bytes_.Flush();
  }

 private:
  void CopyContent(const SmallFile& file);
  // False when it changed meanwhile, and nothing was stored of it; not the last time.
  [[nodiscard]] bool CopySource(const SmallFile& file, const SourceFile& source, bool is_last_time);
  [[nodiscard]] bool IsSame(const SmallFile& file, const SourceFile& source, ByteSpan content,
                            const CopiedEntry& copied) const;

  CopyEnvironment* environment_;
  Worker* worker_;
  EntryQueue* queue_;
  SharedFrame pages_;
  SharedFrame bytes_;
};

void Batch::Copy(const SmallFile& file) {
  environment_->progress->files_done += 1;
  if (file.content) {
    CopyContent(file);
    return;
  }
  std::string warning;
  std::optional<SourceFile> source = SourceFile::Open(*environment_, file.scanned, &warning);
  if (!source) {
    queue_->Finish(file.slot, OutcomeOfGone(file.scanned, file.parent.get(), std::move(warning)));
    return;
  }
  // Of one that changes while it is read, again: half of a write is of no use.
  for (int reads = 1; source->size_bytes() <= kFramePlainLimitBytes; ++reads) {
    if (CopySource(file, *source, reads == kMostFileReads)) return;
    std::optional<SourceFile> again = SourceFile::Open(*environment_, file.scanned, &warning);
    if (again) source = std::move(again);
  }
  // It grew since the scan.
  std::optional<CopiedEntry> copied = CopyWholeFile(environment_, worker_, *source);
  if (copied) queue_->Finish(file.slot, {std::move(copied), {}});
}

void Batch::CopyContent(const SmallFile& file) {
  CopiedEntry copied;
  copied.entry = file.scanned.entry;
  copied.entry.size_bytes = file.content->size();
  copied.entry.content = Xxh3Digest(*file.content);
  environment_->progress->bytes_done += file.content->size();
  if (file.parent && HasContentOfParent(copied.entry, *file.parent)) {
    copied.entry.map = file.parent->entry.map;
    queue_->Finish(file.slot, {std::move(copied), {}});
    return;
  }
  if (file.content->size() <= kFramePlainLimitBytes) {
    std::ranges::copy(*file.content, bytes_.Reserve(file.content->size()).begin());
    bytes_.Add(file.slot, std::move(copied));
  } else {
    PageMap& map = copied.entry.map;
    for (ByteSpan left = *file.content; !left.empty();) {
      const ByteSpan plain = left.first(std::min(left.size(), kFramePlainLimitBytes));
      map.Append(plain.size(), static_cast<uint32_t>(map.frames.size()), 0);
      map.frames.push_back(worker_->packs.Write(plain));
      left = left.subspan(plain.size());
    }
    queue_->Finish(file.slot, {std::move(copied), {}});
  }
}

bool Batch::IsSame(const SmallFile& file, const SourceFile& source, ByteSpan content,
                   const CopiedEntry& copied) const {
  if (!file.parent) return false;
  if (!source.is_in_pages()) return HasContentOfParent(copied.entry, *file.parent);
  const PageProof proof = ChoosePageProof(file.scanned, source.entry(), *file.parent,
                                          environment_->facts, environment_->rules);
  return proof.kind == PageProof::Kind::kPageLsn && copied.damage.empty() &&
         AreAllPagesOfParent(content, source, *file.parent, environment_->facts);
}

bool Batch::CopySource(const SmallFile& file, const SourceFile& source, bool is_last_time) {
  const auto size_bytes = static_cast<size_t>(source.size_bytes());
  environment_->AwaitTurn(size_bytes);
  SharedFrame& frame = source.is_in_pages() ? pages_ : bytes_;
  const std::span<std::byte> room = frame.Reserve(size_bytes);
  CopiedEntry copied;
  copied.entry = source.entry();
  worker_->pages.Read(source.readable(), 0, room, &copied.damage);
  if (source.is_in_pages()) {
    AppendVisibility(room, copied.entry.map.unit_bytes, 0, &copied.entry.map.all_visible);
  } else {
    copied.entry.content = Xxh3Digest(room);
  }
  std::string warning;
  if (file.scanned.media && file.scanned.media->is_last_look && source.HasChanged()) {
    if (!is_last_time) {
      frame.GiveBack(size_bytes);
      return false;
    }
    warning = ChangedWhileRead(*file.scanned.media);
  }
  environment_->progress->bytes_done += size_bytes;
  if (IsSame(file, source, room, copied)) {
    frame.GiveBack(size_bytes);
    copied.entry.map = file.parent->entry.map;
    queue_->Finish(file.slot, {std::move(copied), std::move(warning)});
    return true;
  }
  if (file.audited && source.is_in_pages()) {
    FillClaim(environment_->audit, file.scanned, source.entry(), file.audited.get());
    worker_->auditor->Check(*file.audited, source.readable(), 0, room);
  }
  frame.Add(file.slot, std::move(copied), std::move(warning));
  return true;
}

}  // namespace

void CopySmallFiles(CopyEnvironment* environment, Worker* worker, EntryQueue* queue,
                    const std::vector<SmallFile>& files) {
  Batch batch(environment, worker, queue);
  for (const SmallFile& file : files) {
    if (environment->stop) return;
    batch.Copy(file);
  }
  // A page reader that was stopped left its pages unjudged.
  if (!environment->stop) batch.Flush();
}

}  // namespace backup_ext
