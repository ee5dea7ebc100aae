// An export: store -> a base backup that any PostgreSQL tool reads, as pg_basebackup makes one.
//
// Plain: a data directory, its tablespaces in `<directory>.tablespaces/<oid>` with links to them.
// Tar: base.tar with a tablespace_map, `<oid>.tar` for each tablespace, pg_wal.tar. Both with
// backup_manifest, both without anything of ours: files are as they were, and a server that is
// started from it recovers to the end of the backup and goes on. Nothing keeps it apart from the
// world, as it does a stage.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/progress.h"
#include "format/record.h"
#include "restore/tablespace_mapping.h"
#include "store/repository.h"

namespace backup_ext {

enum class ExportFormat { kPlain, kTar };
// "plain", "tar"; throws Error(kInvalidArgument) for anything else.
[[nodiscard]] ExportFormat ParseExportFormat(const std::string& text);

struct ExportOptions {
  // Made with its missing last part; must be empty or missing.
  std::string directory;
  ExportFormat format = ExportFormat::kPlain;
  int threads = 1;  // of the plain format; a tar file is written by one
  // Directories that it must not be, lie in, or contain.
  std::vector<std::string> forbidden;
  TablespaceMapping mapping;
};

struct ExportedTablespace {
  uint32_t oid = 0;
  std::string origin;     // its directory on the origin
  std::string directory;  // where the export's links or its tablespace_map look for it
};
struct ExportResult {
  uint64_t bytes = 0;
  uint64_t files = 0;
  std::vector<ExportedTablespace> tablespaces;  // by oid
};

// Throws Error as RestoreToStage() does; then everything that it wrote is removed again. Also
// Error(kNotInPrerequisiteState) for a tar of a backup during which a tablespace was made: its WAL
// names the origin's directory, and only where the tablespace is can that be taken out.
[[nodiscard]] ExportResult ExportBackup(const Repository& repository, const BackupRecord& record,
                                        const ExportOptions& options, Progress* progress,
                                        const std::function<void()>& pause_point);

// One tar with everything, WAL and backup_manifest in it. Throws Error(kNotInPrerequisiteState)
// before anything is written when the backup has tablespaces: a tar has no place for them.
[[nodiscard]] ExportResult ExportToStream(const Repository& repository, const BackupRecord& record,
                                          const std::function<void(ByteSpan)>& sink,
                                          Progress* progress,
                                          const std::function<void()>& pause_point);

}  // namespace backup_ext
