// An export as a data directory.
#pragma once

#include <functional>

#include "restore/export_run.h"

namespace backup_ext {

// The caller holds the backup.
[[nodiscard]] ExportResult ExportPlain(const Repository& repository, const BackupRecord& record,
                                       const ExportOptions& options, Progress* progress,
                                       const std::function<void()>& pause_point);

}  // namespace backup_ext
