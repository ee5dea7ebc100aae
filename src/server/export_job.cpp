// An export, seen from the server.
#include "export_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/file.h"
#include "restore/export_run.h"
#include "store/catalog.h"
#include "store/repository.h"

#include "guard.h"
#include "media_job.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"
#include "stage_job.h"
#include "target_directory.h"

namespace backup_ext {
namespace {

// Unpacked on this machine as it is, the copy would use the files of this server.
void WarnOfTablespaceMap(const ExportResult& result, ExportFormat format, JobSlot* slot) {
  if (format != ExportFormat::kTar || result.tablespaces.empty()) return;
  const std::string text = fmt::format(
      "tablespace_map in base.tar names the directories of this server's {} tablespaces: change it "
      "before a server is started from this export on the same machine",
      result.tablespaces.size());
  const size_t length = std::min(text.size(), sizeof(slot->warning) - 1);
  std::memcpy(slot->warning, text.data(), length);
  slot->warning[length] = '\0';
}

}  // namespace

void RunExport(const JobRequest& request, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  const Repository repository = OpenOwnRepository();
  const BackupRecord record = FindBackup(repository, request.backup_id);
  const std::string staging = StagingDirectory(settings);
  if (ParentDirectory(request.directory) == staging) MakeDirectory(staging, 0700);
  ExportOptions options;
  options.directory = request.directory;
  options.format = ParseExportFormat(request.export_format);
  options.threads = WorkerThreads(settings);
  options.forbidden = ForbiddenDirectories(settings);
  const ExportResult result =
      ExportBackup(repository, record, options, &slot->progress, [slot] { PausePoint(*slot); });
  WarnOfTablespaceMap(result, options.format, slot);
  if (HasMedia(record)) {
    TellCaller(slot, fmt::format("backup {} holds {} bytes of media, which an export leaves out",
                                 record.backup_id, record.media_bytes));
  }
}

}  // namespace backup_ext
