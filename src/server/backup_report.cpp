// Lines and figures of a backup.
#include "backup_report.h"

#include <fmt/format.h>

#include <map>

#include "base/clock.h"
#include "base/lsn.h"

#include "backup_parents.h"
#include "guard.h"
#include "plain_text.h"
#include "postgres_headers.h"
#include "reported_run.h"
#include "server_facts.h"
#include "version.h"

namespace backup_ext {

void WarnOf(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    const char* const text = warning.c_str();
    CallPostgresUninterrupted([&] { ereport(WARNING, (errmsg_internal("%s", text))); });
  }
}

void ShowToCaller(const std::string& text, JobSlot* slot) { CopyText(text, slot->warning); }

void ReportDamage(const std::vector<DamagedPage>& pages, const BackupRecord& record,
                  JobSlot* slot) {
  if (pages.empty()) return;
  std::map<uint32_t, int> failures;
  for (const DamagedPage& page : pages) failures[page.database_oid]++;
  for (const auto& [database, count] : failures) {
    const Oid oid = database;
    const int failed = count;
    CallPostgresUninterrupted([&] { ReportChecksumFailures(oid, failed); });
  }
  const std::string text =
      fmt::format("backup {} holds damaged pages: {}", record.backup_id, record.error);
  ShowToCaller(text, slot);
  WarnOf({text});
}

void ReportAudit(const Repository& repository, const ChosenParents& chosen, const BackupRun& run,
                 JobSlot* slot) {
  const std::string findings = run.audit_findings();
  if (findings.empty() || slot->warning[0] != '\0') return;
  const std::string text = NoteAudit(repository, chosen, findings);
  ShowToCaller(text, slot);
  WarnOf({text});
}

void LogBackupStart(const BackupJob& job, const Settings& settings) {
  LogRunStart("backup", job.backup_id,
              fmt::format("trigger {}, kind {}, workers {}", job.trigger, job.kind,
                          WorkerThreads(settings)));
}

void LogBackupEnd(const BackupRecord& record) {
  const std::string media = HasMedia(record) ? fmt::format(" media {} bytes in {} files,",
                                                           record.media_bytes, MediaFiles(record))
                                             : std::string();
  LogRunEnd(
      "backup", record.backup_id, "finished",
      fmt::format(
          "{}, database {} bytes in {} files,{} stored {} bytes, WAL {} to {}, {:.1f} s",
          record.kind, record.database_bytes, record.files, media, record.stored_bytes,
          FormatLsn(record.start_lsn), FormatLsn(record.stop_lsn),
          static_cast<double>(record.finished_at - record.started_at) / kMicrosecondsPerSecond));
}

void LogInterruptedBackup(const BackupRecord& record) {
  const std::string text =
      fmt::format("backup_ext: backup {} was interrupted: {} bytes are kept for the next one",
                  record.backup_id, record.stored_bytes);
  const char* const message = text.c_str();
  CallPostgresUninterrupted([&] { ereport(LOG, (errmsg_internal("%s", message))); });
}

void WarnNotKept(const BackupRecord& record, const Error& error) {
  WarnOf({fmt::format("could not keep what backup {} had stored, the next one stores it again: {}",
                      record.backup_id, error.message())});
}

void KeepFigures(const BackupRecord& record, JobSlot* slot) {
  if (slot->request.kind != JobKind::kBackup) return;
  snprintf(slot->figures.kind, sizeof(slot->figures.kind), "%s", record.kind.c_str());
  slot->figures.database_bytes = record.database_bytes;
  slot->figures.stored_bytes = record.stored_bytes;
  slot->figures.files = record.files;
}

}  // namespace backup_ext
