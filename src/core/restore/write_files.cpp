// The step of a restore that takes the time: every file of the manifest, on a pool of threads.
#include "restore/write_files.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/worker_pool.h"
#include "cluster/control_file.h"
#include "restore/configuration.h"
#include "restore/file_writer.h"
#include "restore/kept_entries.h"

namespace backup_ext {
namespace {

constexpr int kPollMs = 100;
// Small files go to a thread in batches: their frames are shared.
constexpr uint64_t kBatchBytes = 1024 * 1024;
constexpr size_t kBatchFiles = 64;
constexpr uint64_t kCaptureLimitBytes = 16ULL * 1024 * 1024;

class Writing {
 public:
  Writing(const WriteFilesRequest& request, Progress* progress,
          const std::function<void()>& pause_point)
      : request_(request),
        progress_(progress),
        pause_point_(pause_point),
        own_(Surroundings([] { return false; })),
        pool_(request.threads, static_cast<size_t>(request.threads) * 2) {
    for (int i = 0; i < request.threads; ++i) {
      writers_.push_back(
          std::make_unique<FileWriter>(Surroundings([this] { return pool_.stop_requested(); })));
    }
  }

  CapturedFiles Run() {
    ForEachKeptEntry(*request_.repository, *request_.record, *request_.plan, &packs_, progress_,
                     [this](ManifestEntry entry) {
                       Place(std::move(entry));
                       MaybePause();
                     });
    PostBatch();
    while (!pool_.DrainFor(kPollMs)) pause_point_();
    for (const auto& writer : writers_) captured_.kept_bytes += writer->kept_bytes();
    return std::move(captured_);
  }

 private:
  FileWriter::Surroundings Surroundings(std::function<bool()> should_stop) {
    return {request_.repository,
            request_.record,
            &packs_,
            request_.tree,
            request_.manifest,
            progress_,
            std::move(should_stop),
            OpenPacksOfOne(request_.threads + 1)};
  }

  void Place(ManifestEntry entry) {
    switch (entry.kind) {
      case EntryKind::kDirectory:
        if (FateOf(entry) != Fate::kSkip) request_.tree->MakeDirectory(entry.path, entry.mode);
        break;
      case EntryKind::kTablespaceLink:  // linked at the end, to our own directory
      case EntryKind::kRemoved:
      case EntryKind::kSymbolicLink:  // refused by the plan
      case EntryKind::kHardLink:
        break;
      case EntryKind::kConfiguration:
        PlaceOutsideFile(entry);
        break;
      case EntryKind::kFile:
        if (request_.exported_configuration != nullptr) {
          request_.exported_configuration->See(entry.path);
        }
        if (FateOf(entry) == Fate::kCapture) Capture(entry);
        if (FateOf(entry) == Fate::kWrite) AddToBatch(std::move(entry));
        break;
    }
  }

  void PlaceOutsideFile(const ManifestEntry& entry) {
    if (request_.exported_configuration != nullptr) {
      request_.exported_configuration->Take(entry, &own_);
      return;
    }
    OutsideFile file{entry.link_target,
                     OutsideFilePath(request_.configuration_folder, captured_.outside.size() + 1,
                                     entry.link_target)};
    own_.Write(entry, file.path);
    captured_.outside.push_back(std::move(file));
  }

  void Capture(const ManifestEntry& entry) {
    if (entry.path == "global/pg_control") {
      captured_.control_file = own_.Read(entry, kControlFileBytes);
    } else if (entry.path == "postgresql.auto.conf") {
      captured_.auto_conf = own_.Read(entry, kCaptureLimitBytes);
    } else {
      captured_.postgresql_conf = own_.Read(entry, kCaptureLimitBytes);
      captured_.postgresql_conf_mode = entry.mode;
      captured_.has_postgresql_conf = true;
    }
  }

  void AddToBatch(ManifestEntry entry) {
    batch_bytes_ += entry.size_bytes;
    batch_.push_back(std::move(entry));
    if (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchFiles) PostBatch();
  }

  void PostBatch() {
    if (batch_.empty()) return;
    const auto files = std::make_shared<const std::vector<ManifestEntry>>(std::move(batch_));
    batch_.clear();
    batch_bytes_ = 0;
    const WorkerPool::Task task = [this, files](int thread) {
      for (const ManifestEntry& entry : *files) {
        if (pool_.stop_requested()) return;
        writers_[static_cast<size_t>(thread)]->Write(entry, entry.path);
      }
    };
    while (!pool_.TryPost(task)) {
      if (!pool_.WaitForRoom(kPollMs)) pause_point_();
      MaybePause();
    }
  }

  void MaybePause() {
    if (MonotonicNow() < next_pause_) return;
    pause_point_();
    next_pause_ = MonotonicNow() + kPollMs * 1000;
  }

  const WriteFilesRequest& request_;
  Progress* progress_;
  const std::function<void()>& pause_point_;
  KnownPacks packs_;
  CapturedFiles captured_;
  FileWriter own_;  // of the main thread
  std::vector<ManifestEntry> batch_;
  uint64_t batch_bytes_ = 0;
  Microseconds next_pause_ = 0;
  std::vector<std::unique_ptr<FileWriter>> writers_;
  WorkerPool pool_;  // last: joined before anything that its threads use goes away
};

}  // namespace

CapturedFiles WriteFiles(const WriteFilesRequest& request, Progress* progress,
                         const std::function<void()>& pause_point) {
  return Writing(request, progress, pause_point).Run();
}

}  // namespace backup_ext
