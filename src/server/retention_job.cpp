// Retention after a backup, in the worker that took it.
#include "retention_job.h"

#include <fmt/format.h>

#include "base/error.h"

#include "boundary.h"
#include "guard.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"

namespace backup_ext {
namespace {

void Report(int level, const std::string& text) {
  const char* const message = text.c_str();
  CallPostgresUninterrupted([&] { ereport(level, (errmsg_internal("%s", message))); });
}

void Expire(const Repository& repository, WriterLock* lock, JobSlot* slot) {
  slot->progress.Enter(Phase::kExpiring);
  PausePoint(*slot);  // the settings of now
  const std::vector<ExpiryRow> rows =
      ExpireBackups(repository, *lock, CurrentSettings().retention, [&] {
        PausePoint(*slot);
        lock->Renew();
      });
  LogExpiry(rows);
  slot->figures.freed_bytes += FreedBytes(rows);
}

}  // namespace

uint64_t FreedBytes(const std::vector<ExpiryRow>& rows) {
  uint64_t freed = 0;
  for (const ExpiryRow& row : rows) {
    if (row.removed) freed += row.freed_bytes;
  }
  return freed;
}

void LogExpiry(const std::vector<ExpiryRow>& rows) {
  for (const ExpiryRow& row : rows) {
    if (row.removed) {
      Report(LOG, fmt::format("backup_ext: backup {} removed, {} bytes freed: {}", row.backup_id,
                              row.freed_bytes, row.because));
    } else if (row.has_failed) {
      Report(WARNING, fmt::format("backup {} was not removed: {}", row.backup_id, row.because));
    }
  }
}

void ExpireAfterBackup(const Repository& repository, WriterLock* lock, const BackupRecord& record,
                       JobSlot* slot) noexcept {
  if (record.state != "complete") return;
  PlainError error;
  if (RunCatchingAll([&] { Expire(repository, lock, slot); }, &error)) return;
  // A cancel comes too late for the backup, and in time for this: the next backup does the rest.
  PlainError ignored;
  static_cast<void>(RunCatchingAll(
      [&] {
        Report(error.canceled ? LOG : WARNING,
               fmt::format("backup_ext: removing old backups ended early: {}", error.message));
      },
      &ignored));
}

}  // namespace backup_ext
