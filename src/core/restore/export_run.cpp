// An export: store -> a base backup that any PostgreSQL tool reads, as pg_basebackup makes one.
#include "restore/export_run.h"

#include <fmt/format.h>

#include "base/error.h"
#include "restore/export_plain.h"
#include "restore/export_tar.h"
#include "restore/last_steps.h"
#include "store/hold.h"

namespace backup_ext {

ExportFormat ParseExportFormat(const std::string& text) {
  if (text == "plain") return ExportFormat::kPlain;
  if (text == "tar") return ExportFormat::kTar;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a format of an export", text),
              {}, "It is \"plain\" or \"tar\".");
}

ExportResult ExportBackup(const Repository& repository, const BackupRecord& record,
                          const ExportOptions& options, Progress* progress,
                          const std::function<void()>& pause_point) {
  const BackupHold hold = BackupHold::Take(repository, record.backup_id);
  try {
    return options.format == ExportFormat::kTar
               ? ExportTarFiles(repository, record, options, progress, pause_point)
               : ExportPlain(repository, record, options, progress, pause_point);
  } catch (const Error& error) {
    throw NamingTheBackup(record, error);
  }
}

ExportResult ExportToStream(const Repository& repository, const BackupRecord& record,
                            const std::function<void(ByteSpan)>& sink, Progress* progress,
                            const std::function<void()>& pause_point) {
  const BackupHold hold = BackupHold::Take(repository, record.backup_id);
  try {
    return ExportTarStream(repository, record, sink, progress, pause_point);
  } catch (const Error& error) {
    throw NamingTheBackup(record, error);
  }
}

}  // namespace backup_ext
