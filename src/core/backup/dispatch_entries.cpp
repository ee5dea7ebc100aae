// Small files go to the threads in batches, large ones in parts.
#include "backup/dispatch_entries.h"

#include <memory>
#include <utility>

#include "backup/copy_file.h"

namespace backup_ext {
namespace {

// Four frames or so: few half-full ones, and still enough tasks for all threads.
constexpr uint64_t kBatchBytes = 1024 * 1024;
constexpr size_t kBatchFiles = 512;
// What may be under way: about 5 MB of entries and as much of page maps.
constexpr size_t kWindowFiles = 8192;
constexpr uint64_t kWindowBytes = 16ULL * 1024 * 1024 * 1024;
// Scattered maps of files that nobody opens pile up fast behind one that is long in reading.
constexpr uint64_t kWindowHeldBytes = 64ULL * 1024 * 1024;

}  // namespace

void EntryDispatcher::MakeRoom() {
  const auto is_full = [this] {
    return queue_->size() >= kWindowFiles || queue_->weight_bytes() >= kWindowBytes ||
           queue_->held_bytes() >= kWindowHeldBytes;
  };
  if (!is_full()) return;
  // The oldest slot may be in the batch.
  PostBatch();
  while (is_full()) {
    loop_->Wait();
    TakeFinished();
  }
}

void EntryDispatcher::AddFinished(ManifestEntry entry) {
  const uint64_t slot = queue_->Begin(0);
  queue_->Finish(slot, {CopiedEntry{std::move(entry), {}}, {}});
}

void EntryDispatcher::AddUnchanged(const ScannedEntry& scanned, ParentFile parent) {
  environment_->progress->files_done += 1;
  environment_->progress->bytes_done += scanned.entry.size_bytes;
  // As the parent saw it, its time of reading, too: that is what "untouched since" is about.
  AddFinished(std::move(parent.entry));
}

void EntryDispatcher::AddFile(ScannedEntry scanned, std::optional<ParentFile> parent,
                              std::optional<AuditedFile> audited, std::optional<Bytes> content) {
  const uint64_t slot = queue_->Begin(content ? content->size() : scanned.entry.size_bytes);
  if (content || scanned.entry.size_bytes < kSmallFileBytes) {
    auto shared = parent ? std::make_shared<const ParentFile>(*std::move(parent)) : nullptr;
    auto compared = audited ? std::make_shared<AuditedFile>(*std::move(audited)) : nullptr;
    AddToBatch(
        {slot, std::move(scanned), std::move(shared), std::move(compared), std::move(content)});
    return;
  }
  const uint32_t parts = FileInParts::CountParts(scanned, parent.has_value());
  const auto file = std::make_shared<FileInParts>(environment_, queue_, slot, std::move(scanned),
                                                  std::move(parent), std::move(audited));
  for (uint32_t part = 0; part < parts; ++part) {
    loop_->Post([environment = environment_, file, part](int thread) {
      file->CopyPart(part, &environment->workers[static_cast<size_t>(thread)]);
    });
  }
}

void EntryDispatcher::AddToBatch(SmallFile file) {
  batch_bytes_ += file.scanned.entry.size_bytes;
  batch_.push_back(std::move(file));
  if (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchFiles) PostBatch();
}

void EntryDispatcher::PostBatch() {
  if (batch_.empty()) return;
  const auto files = std::make_shared<const std::vector<SmallFile>>(std::exchange(batch_, {}));
  batch_bytes_ = 0;
  loop_->Post([environment = environment_, queue = queue_, files](int thread) {
    CopySmallFiles(environment, &environment->workers[static_cast<size_t>(thread)], queue, *files);
  });
}

void EntryDispatcher::TakeFinished() {
  while (auto outcome = queue_->TakeNext()) sink_(*std::move(outcome));
}

void EntryDispatcher::Drain() {
  PostBatch();
  while (queue_->size() > 0) {
    loop_->Wait();
    TakeFinished();
  }
}

}  // namespace backup_ext
