// The step of a restore that takes the time: every file of the manifest, on a pool of threads.
#include "restore/write_files.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "cluster/control_file.h"
#include "restore/configuration.h"
#include "restore/file_batches.h"
#include "restore/file_writer.h"
#include "restore/kept_entries.h"

namespace backup_ext {
namespace {

constexpr uint64_t kCaptureLimitBytes = 16ULL * 1024 * 1024;

class Writing {
 public:
  Writing(const WriteFilesRequest& request, Progress* progress,
          const std::function<void()>& pause_point)
      : request_(request),
        progress_(progress),
        own_(Surroundings([] { return false; })),
        batches_(
            request.threads,
            [this](std::function<bool()> should_stop) {
              return Surroundings(std::move(should_stop));
            },
            [](const ManifestEntry& entry, FileWriter* writer) {
              writer->Write(entry, entry.path);
            },
            pause_point) {}

  CapturedFiles Run() {
    ForEachKeptEntry(*request_.repository, *request_.record, *request_.plan, &packs_, progress_,
                     [this](ManifestEntry entry) {
                       Place(std::move(entry));
                       batches_.MaybePause();
                     });
    batches_.Finish();
    captured_.kept_bytes += batches_.kept_bytes();
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
        if (FateOf(entry) == Fate::kWrite) batches_.Add(std::move(entry));
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

  const WriteFilesRequest& request_;
  Progress* progress_;
  KnownPacks packs_;
  CapturedFiles captured_;
  FileWriter own_;       // of the main thread
  FileBatches batches_;  // last: its threads use the rest
};

}  // namespace

CapturedFiles WriteFiles(const WriteFilesRequest& request, Progress* progress,
                         const std::function<void()>& pause_point) {
  return Writing(request, progress, pause_point).Run();
}

}  // namespace backup_ext
