// The threads of a restore that write files.
#include "restore/file_batches.h"

#include <utility>

namespace backup_ext {
namespace {

constexpr uint64_t kBatchBytes = 1024 * 1024;
constexpr size_t kFilesPerBatch = 64;

}  // namespace

FileBatches::FileBatches(int threads, const MakeSurroundings& surroundings, WriteOne write_one,
                         const std::function<void()>& pause_point)
    : write_one_(std::move(write_one)),
      pause_point_(pause_point),
      pool_(threads, static_cast<size_t>(threads) * 2) {
  for (int i = 0; i < threads; ++i) {
    writers_.push_back(
        std::make_unique<FileWriter>(surroundings([this] { return stop_requested(); })));
  }
}

void FileBatches::Add(ManifestEntry entry) {
  batch_bytes_ += entry.size_bytes;
  batch_.push_back(std::move(entry));
  if (batch_bytes_ >= kBatchBytes || batch_.size() >= kFilesPerBatch) Post();
}

void FileBatches::Finish() {
  Post();
  while (!pool_.DrainFor(kPauseEveryMs)) pause_point_();
}

void FileBatches::MaybePause() {
  if (MonotonicNow() < next_pause_) return;
  pause_point_();
  next_pause_ = MonotonicNow() + kPauseEvery;
}

uint64_t FileBatches::kept_bytes() const {
  uint64_t bytes = 0;
  for (const auto& writer : writers_) bytes += writer->kept_bytes();
  return bytes;
}

void FileBatches::Post() {
  if (batch_.empty()) return;
  const auto files = std::make_shared<const std::vector<ManifestEntry>>(std::move(batch_));
  batch_.clear();
  batch_bytes_ = 0;
  const WorkerPool::Task task = [this, files](int thread) {
    for (const ManifestEntry& entry : *files) {
      if (stop_requested()) return;
      write_one_(entry, writers_[static_cast<size_t>(thread)].get());
    }
  };
  while (!pool_.TryPost(task)) {
    if (!pool_.WaitForRoom(kPauseEveryMs)) pause_point_();
    MaybePause();
  }
}

}  // namespace backup_ext
