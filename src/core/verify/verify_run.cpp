// Reads every frame of a backup back and says which files are damaged.
#include "verify/verify_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/lsn.h"
#include "base/worker_pool.h"
#include "cluster/wal_check.h"
#include "store/catalog.h"
#include "store/hold.h"
#include "store/known_packs.h"
#include "store/manifest_source.h"
#include "verify/expected_files.h"
#include "verify/file_checker.h"

namespace backup_ext {
namespace {

constexpr int kPollMs = 100;
// Small files go to a thread in batches: their frames are shared, and each is decoded once.
constexpr uint64_t kBatchBytes = 1024 * 1024;
constexpr size_t kBatchFiles = 64;
constexpr size_t kWalSegmentsWaiting = 4;

class Verifying {
 public:
  Verifying(const Repository& repository, const BackupRecord& record, int threads,
            Progress* progress, const std::function<void()>& pause_point, ProblemList* problems)
      : repository_(repository),
        record_(record),
        progress_(progress),
        pause_point_(pause_point),
        problems_(problems),
        chain_(NeededWal(record), record.wal_segment_bytes, record.system_identifier),
        pool_(threads, static_cast<size_t>(threads) * 2),
        wal_pool_(1, kWalSegmentsWaiting) {
    for (int i = 0; i < threads; ++i) {
      checkers_.push_back(std::make_unique<FileChecker>(Surroundings(pool_)));
    }
    wal_checker_ = std::make_unique<FileChecker>(Surroundings(wal_pool_));
  }

  void Run() {
    progress_->Enter(Phase::kChecking);
    expected_ = FindExpectedFiles(repository_, record_, problems_, pause_point_);
    progress_->bytes_total = expected_.bytes + record_.media_bytes;
    progress_->files_total = expected_.files + MediaFiles(record_);
    progress_->Enter(Phase::kVerifying);
    const auto reader = OpenManifest(repository_, record_);
    while (auto entry = reader->Next()) {
      packs_.Extend(reader->packs());
      Place(std::move(*entry), reader->in_second_section());
      MaybePause();
    }
    PostBatch();
    while (!pool_.DrainFor(kPollMs)) pause_point_();
    while (!wal_pool_.DrainFor(kPollMs)) pause_point_();
    EndWal();
  }

  // Instead: the media alone.
  void RunMedia() {
    CheckManifestObject(repository_, record_, pause_point_, ManifestKind::kMedia);
    progress_->Enter(Phase::kVerifying);
    const auto reader = OpenManifest(repository_, record_, ManifestKind::kMedia);
    while (auto entry = reader->Next()) {
      packs_.Extend(reader->packs());
      if (entry->kind == EntryKind::kFile) AddToBatch(std::move(*entry));
      MaybePause();
    }
    PostBatch();
    while (!pool_.DrainFor(kPollMs)) pause_point_();
  }

 private:
  FileChecker::Surroundings Surroundings(const WorkerPool& pool) {
    return {&repository_,
            &record_,
            &packs_,
            problems_,
            progress_,
            [&pool] { return pool.stop_requested(); },
            OpenPacksOfOne(pool_.threads() + 1)};
  }

  void Place(ManifestEntry entry, bool is_late) {
    if (entry.kind != EntryKind::kFile && entry.kind != EntryKind::kConfiguration) return;
    if (!is_late && expected_.removed.contains(entry.path)) {
      progress_->bytes_total -= entry.size_bytes;
      progress_->files_total -= 1;
      return;
    }
    if (!is_late && expected_.late.contains(entry.path)) {
      problems_->Add({entry.path, "the manifest holds it twice", std::nullopt});
    }
    if (entry.file_kind == FileKind::kWal) {
      PostWal(std::move(entry));
    } else {
      AddToBatch(std::move(entry));
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
    Post(&pool_, [this, files](int thread) {
      for (const ManifestEntry& entry : *files) {
        if (pool_.stop_requested()) return;
        checkers_[static_cast<size_t>(thread)]->Check(entry);
      }
    });
  }

  // In the order of their names, which is the order of timelines and positions.
  void PostWal(ManifestEntry entry) {
    last_wal_ = entry.path;
    const auto file = std::make_shared<const ManifestEntry>(std::move(entry));
    Post(&wal_pool_, [this, file](int) { wal_checker_->CheckWal(*file, &chain_); });
  }

  void Post(WorkerPool* pool, const WorkerPool::Task& task) {
    while (!pool->TryPost(task)) {
      if (!pool->WaitForRoom(kPollMs)) pause_point_();
      MaybePause();
    }
  }

  // Every segment may be sound by itself and the last record still go on behind them.
  void EndWal() {
    if (chain_.IsComplete() || problems_->count() > 0) return;
    problems_->Add({last_wal_.empty() ? "pg_wal" : last_wal_,
                    fmt::format("its WAL ends at {} instead of {}", FormatLsn(chain_.position()),
                                FormatLsn(NeededWal(record_).front().end_lsn)),
                    std::nullopt});
  }

  void MaybePause() {
    if (MonotonicNow() < next_pause_) return;
    pause_point_();
    next_pause_ = MonotonicNow() + kPollMs * 1000;
  }

  const Repository& repository_;
  const BackupRecord& record_;
  Progress* progress_;
  const std::function<void()>& pause_point_;
  ProblemList* problems_;
  ExpectedFiles expected_;
  KnownPacks packs_;
  std::vector<ManifestEntry> batch_;
  uint64_t batch_bytes_ = 0;
  std::string last_wal_;
  Microseconds next_pause_ = 0;
  std::vector<std::unique_ptr<FileChecker>> checkers_;
  WalCheck chain_;  // of the WAL thread
  std::unique_ptr<FileChecker> wal_checker_;
  // Last: joined before anything that their threads use goes away.
  WorkerPool pool_;
  WorkerPool wal_pool_;
};

bool IsDamage(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kUnsupportedFormat ||
         error.code() == ErrorCode::kIo || error.code() == ErrorCode::kPermissionDenied;
}

// The backup stays until the end of the run.
struct HeldBackup {
  BackupHold hold;
  BackupRecord record;
};

std::optional<HeldBackup> HoldBackup(const Repository& repository, std::string_view backup_id,
                                     ProblemList* problems) {
  try {
    BackupHold hold = BackupHold::Take(repository, backup_id);
    return HeldBackup{std::move(hold), FindBackup(repository, backup_id)};
  } catch (const Error& error) {
    if (!IsDamage(error)) throw;
    problems->Add({"record.json", error.message(), std::nullopt});
    return std::nullopt;
  }
}

}  // namespace

VerifyResult VerifyBackup(const Repository& repository, std::string_view backup_id, int threads,
                          Progress* progress, const std::function<void()>& pause_point) {
  ProblemList problems;
  if (const auto held = HoldBackup(repository, backup_id, &problems)) {
    const auto verify = [&](const char* manifest, void (Verifying::*run)()) {
      try {
        Verifying verifying(repository, held->record, std::max(1, threads), progress, pause_point,
                            &problems);
        (verifying.*run)();
      } catch (const Error& error) {
        if (!IsDamage(error)) throw;
        problems.Add({manifest, error.message(), std::nullopt});
      }
    };
    verify("manifest", &Verifying::Run);
    if (HasMedia(held->record)) verify("media", &Verifying::RunMedia);
  }
  VerifyResult result;
  result.damaged_files = problems.count();
  result.problems = problems.Take();
  result.checked_bytes = progress->bytes_done;
  progress->Enter(Phase::kFinished);
  return result;
}

}  // namespace backup_ext
