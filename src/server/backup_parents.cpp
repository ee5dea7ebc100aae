// What a backup refers to.
#include "backup_parents.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/machine.h"
#include "store/catalog.h"
#include "store/notes.h"
#include "store/suspects.h"

#include "cluster_state.h"
#include "guard.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"
#include "wal_collector.h"
#include "wal_summaries.h"

namespace backup_ext {
RequestedKind RequestedKindOf(const BackupJob& job) {
  if (job.kind == "full") return RequestedKind::kFull;
  return job.kind == "incremental" ? RequestedKind::kIncremental : RequestedKind::kAuto;
}

ChosenParents ChooseOwnParents(const BackupJob& job, const Repository& repository,
                               const Catalog& catalog, const ClusterFacts& facts,
                               const StartedBackup& started, BackupRecord* record, JobSlot* slot) {
  ParentRequest request;
  request.kind = RequestedKindOf(job);
  request.full_interval = CurrentSettings().full_interval;
  request.now = Now();
  request.cluster = {ShapeOf(*record), TimelineHistory(started.timeline, facts.data_directory),
                     started.start_lsn, NewestWalPosition(facts.in_recovery)};
  request.remembered = RememberedBackups(repository);
  ChosenParents chosen = ChooseParents(repository, catalog, request, [slot] { PausePoint(*slot); });
  record->kind = chosen.kind;
  record->parent_reason = chosen.reason;
  if (chosen.kind == "incremental") record->parent_id = chosen.parents.back().record.backup_id;
  return chosen;
}

Microseconds BelievedMargin(const ChosenParents& chosen) {
  std::string problem;
  const auto memory = ReadOwnMemory(&problem);
  if (!memory || memory->boot_id.empty() || memory->boot_id != BootId()) return kNeverUntouched;
  for (const auto* parents : {&chosen.parents, &chosen.audited}) {
    for (const ParentBackup& parent : *parents) {
      const auto& ids = memory->boot_backup_ids;
      if (std::find(ids.begin(), ids.end(), parent.record.backup_id) == ids.end()) {
        return kNeverUntouched;
      }
    }
  }
  return kUntouchedMargin;
}

std::optional<ChangedBlocks> ReadOwnChanges(const ClusterFacts& facts, const StartedBackup& started,
                                            const ChosenParents& chosen, JobSlot* slot,
                                            std::string* reason) {
  if (chosen.parents.empty() && chosen.audited.empty()) return std::nullopt;
  uint64_t from_lsn = started.start_lsn;
  for (const auto* parents : {&chosen.parents, &chosen.audited}) {
    for (const ParentBackup& parent : *parents) {
      from_lsn = std::min(from_lsn, parent.record.start_lsn);
    }
  }
  return ReadWalSummaries(
      TimelineHistory(started.timeline, facts.data_directory), from_lsn, started.start_lsn,
      [slot] { PausePoint(*slot); }, reason);
}

void LogParents(const BackupRecord& record, const ChosenParents& chosen,
                const std::string& no_summaries) {
  std::string text = fmt::format("backup_ext: backup {}: kind {}", record.backup_id, record.kind);
  if (!chosen.reason.empty()) text += fmt::format(", because {}", chosen.reason);
  for (const ParentBackup& parent : chosen.parents) {
    text += fmt::format(", {} {}", parent.is_interrupted ? "goes on from interrupted" : "parent",
                        parent.record.backup_id);
  }
  if (!chosen.parents.empty()) {
    text += no_summaries.empty() ? ", by WAL summaries"
                                 : fmt::format(", without WAL summaries ({})", no_summaries);
  }
  if (!chosen.passed_over.empty()) text += fmt::format("; {}", chosen.passed_over);
  const char* const message = text.c_str();
  CallPostgres([&] { ereport(LOG, (errmsg_internal("%s", message))); });
  if (!chosen.is_newest_damaged) return;
  const char* const damage = chosen.passed_over.c_str();
  CallPostgres([&] {
    ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", damage),
                      errdetail("An earlier backup is the parent of the next one."),
                      errhint("Look at the repository's storage. SELECT * FROM backup_verify() "
                              "names what is damaged.")));
  });
}

std::string NoteAudit(const Repository& repository, const ChosenParents& chosen,
                      const std::string& findings) {
  const std::string& audited = chosen.audited.front().record.backup_id;
  std::string text = fmt::format(
      "backup {} does not hold what the cluster held: {}; earlier incremental backups may be wrong "
      "too",
      audited, findings);
  try {
    AddAuditNote(repository, audited, {Now(), findings});
    MarkSuspects(repository, ReadCatalog(repository), audited);
  } catch (const Error& error) {
    text += fmt::format("; could not note that it is damaged: {}", error.message());
  }
  return text;
}

}  // namespace backup_ext
