// The media of a backup, seen from the server.
#include "media_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backup/choose_parents.h"
#include "backup/finish.h"
#include "backup/media_directories.h"
#include "base/clock.h"
#include "base/error.h"
#include "format/names.h"
#include "policy/duration.h"

#include "backup_parents.h"
#include "backup_report.h"
#include "cluster_state.h"
#include "guard.h"
#include "job_notices.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"

namespace backup_ext {
namespace {

// Where no full backup tells.
constexpr double kUsualBytesPerSecond = 100e6;

ChosenParents ChooseParentsOfMedia(const BackupJob& job, const Repository& repository,
                                   const Catalog& catalog, uint64_t system_identifier,
                                   JobSlot* slot) {
  ChosenParents chosen;
  chosen.parents =
      ChooseMediaParents(repository, catalog, RequestedKindOf(job), CurrentSettings().full_interval,
                         Now(), system_identifier, [slot] { PausePoint(*slot); });
  return chosen;
}

// What the newest full backup read in a second, and what max_rate allows.
double BytesPerSecond(const Catalog& catalog, uint64_t max_bytes_per_second) {
  double rate = kUsualBytesPerSecond;
  for (const BackupRecord& record : catalog.backups) {
    const Microseconds length = record.finished_at - record.started_at;
    if (record.kind != "full" || length <= 0) continue;
    rate = static_cast<double>(record.database_bytes + record.media_bytes) /
           (static_cast<double>(length) / kMicrosecondsPerSecond);
    break;
  }
  if (max_bytes_per_second > 0) rate = std::min(rate, static_cast<double>(max_bytes_per_second));
  return std::max(rate, 1.0);
}

void TellEstimate(const MediaEstimate& estimate, size_t directories, double bytes_per_second,
                  JobSlot* slot) {
  const auto seconds =
      static_cast<int64_t>(static_cast<double>(estimate.changed_bytes) / bytes_per_second) + 1;
  TellCaller(slot,
             fmt::format("media: {} bytes in {} files of {} directories, of which {} bytes in "
                         "{} files are to be read; that takes about {}",
                         estimate.bytes, estimate.files, directories, estimate.changed_bytes,
                         estimate.changed_files, FormatDuration(seconds * kMicrosecondsPerSecond)));
}

}  // namespace

void TellCaller(JobSlot* slot, const std::string& text) {
  const char* const message = text.c_str();
  CallPostgresUninterrupted([&] {
    ereport(LOG, (errmsg("backup_ext: %s", message)));
    PostNotice(slot, message);
  });
}

std::unique_ptr<MediaRun> BeginMedia(const BackupJob& job, const Repository& repository,
                                     const Catalog& catalog, uint64_t system_identifier,
                                     ServerAccess* access, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  if (!job.include_media) return nullptr;
  if (settings.media.directories.empty()) {
    throw Error(ErrorCode::kNotInPrerequisiteState, "no media directories are set any more");
  }
  CheckMediaDirectories(settings.media.directories, DirectoriesApartFromMedia(settings));
  const ChosenParents chosen =
      ChooseParentsOfMedia(job, repository, catalog, system_identifier, slot);
  auto media =
      std::make_unique<MediaRun>(repository, system_identifier,
                                 MediaOptions{.backup_id = job.backup_id,
                                              .directories = settings.media.directories,
                                              .threads = WorkerThreads(settings),
                                              .priority = ThreadPriority::kLow,
                                              .compression_level = settings.compression_level,
                                              .max_bytes_per_second = settings.max_bytes_per_second,
                                              .parents = chosen.parents,
                                              .untouched_margin = BelievedMargin(chosen)},
                                 access, &slot->progress);
  const MediaEstimate estimate = media->Estimate();
  TellEstimate(estimate, settings.media.directories.size(),
               BytesPerSecond(catalog, settings.max_bytes_per_second), slot);
  // The database follows: about as much as last time.
  if (!catalog.backups.empty()) {
    slot->progress.bytes_total += catalog.backups.front().database_bytes;
    slot->progress.files_total += catalog.backups.front().files;
  }
  return media;
}

void CopyMedia(MediaRun* media, const Repository& repository, const WriterLock& lock,
               const BackupRecord& record) {
  try {
    media->Copy();
  } catch (const Error& error) {
    if (error.is_cancel()) {
      KeepMedia(media, repository, lock, record);
    }
    throw;
  }
}

void KeepMedia(MediaRun* media, const Repository& repository, const WriterLock& lock,
               BackupRecord record) {
  try {
    const auto kept = media->KeepInterrupted();
    if (!kept) return;
    AddMedia(*kept, &record);
    record.kind = kept->is_full ? "full" : "incremental";
    record.state = "interrupted";
    record.finished_at = Now();
    lock.Check();
    // A commit that reported an error may have come through.
    repository.store().Delete(RecordName(record.backup_id));
    CommitInterrupted(repository, record);
    media->Release();
    RememberBackup(repository, record.backup_id);
    LogInterruptedBackup(record);
  } catch (const Error& error) {
    WarnNotKept(record, error);
  }
}

}  // namespace backup_ext
