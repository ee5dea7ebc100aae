// An export as tar files, or as one stream.
#pragma once

#include <functional>

#include "restore/export_run.h"

namespace backup_ext {

// The caller holds the backup.
[[nodiscard]] ExportResult ExportTarFiles(const Repository& repository, const BackupRecord& record,
                                          const ExportOptions& options, Progress* progress,
                                          const std::function<void()>& pause_point);
[[nodiscard]] ExportResult ExportTarStream(const Repository& repository, const BackupRecord& record,
                                           const std::function<void(ByteSpan)>& sink,
                                           Progress* progress,
                                           const std::function<void()>& pause_point);

}  // namespace backup_ext
