// The small files that make a data directory a stage: marker, guards, signal, links, WAL status.
#pragma once

#include <string>

#include "format/record.h"
#include "restore/plan.h"
#include "restore/postgres_manifest.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"
#include "restore/write_files.h"

namespace backup_ext {

// Directories that every cluster must have, whatever the manifest says.
void MakeFixedDirectories(const StageTree& tree, const BackupRecord& record);

// pg_wal/archive_status/<name>.done: what the origin has archived must not be archived again.
void WriteArchiveStatus(const StageTree& tree, const WalFiles& wal);

// The guards (stage_settings.h) and what they point to; recovery.signal; tablespace_map and the
// links. After all other files.
void WriteStageFiles(const StageTree& tree, const BackupRecord& record, const RestorePlan& plan,
                     const StageMarker& marker, int port, const CapturedFiles& captured,
                     PostgresManifest* manifest);

}  // namespace backup_ext
