// What a backup refers to: its parents, what the server says was changed since, and what the audit
// of a full backup found.
#pragma once

#include <optional>
#include <string>

#include "backup/backup_run.h"
#include "backup/choose_parents.h"
#include "cluster/changed_blocks.h"
#include "format/record.h"
#include "store/catalog.h"
#include "store/repository.h"

#include "backup_job.h"
#include "backup_mode.h"

namespace backup_ext {

[[nodiscard]] RequestedKind RequestedKindOf(const BackupJob& job);

// In backup mode, and before a thread lives. Fills kind, parent and reason of `record`.
[[nodiscard]] ChosenParents ChooseOwnParents(const BackupJob& job, const Repository& repository,
                                             const Catalog& catalog, const ClusterFacts& facts,
                                             const StartedBackup& started, BackupRecord* record,
                                             JobSlot* slot);
// For BackupOptions::untouched_margin: times of files are believed when all parents were taken
// since the machine was started.
[[nodiscard]] Microseconds BelievedMargin(const ChosenParents& chosen);
// Nothing, with the reason, when files have to be looked at instead. No thread lives yet.
[[nodiscard]] std::optional<ChangedBlocks> ReadOwnChanges(const ClusterFacts& facts,
                                                          const StartedBackup& started,
                                                          const ChosenParents& chosen,
                                                          JobSlot* slot, std::string* reason);
// Kind, parents, and by what it is found what changed.
void LogParents(const BackupRecord& record, const ChosenParents& chosen,
                const std::string& no_summaries);

// The audited backup counts as found damaged from now on. The text for the log and the caller.
[[nodiscard]] std::string NoteAudit(const Repository& repository, const ChosenParents& chosen,
                                    const std::string& findings);

}  // namespace backup_ext
