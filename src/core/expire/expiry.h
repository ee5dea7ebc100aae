// Retention at work: the policy's decisions on a repository's backups, and removing what may go.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "policy/retention.h"
#include "store/catalog.h"
#include "store/lock.h"
#include "store/notes.h"
#include "store/repository.h"

namespace backup_ext {

// What is known of one backup beside its record, and what becomes of it.
struct BackupOutlook {
  BackupNotes notes;
  RetentionDecision decision;
};
// One for each of `catalog.backups`, in that order.
[[nodiscard]] std::vector<BackupOutlook> JudgeBackups(const Repository& repository,
                                                      const Catalog& catalog,
                                                      const RetentionRules& rules);

struct ExpiryRow {
  std::string backup_id;
  bool removed = false;      // for a plan: would be
  bool has_failed = false;   // it was to be removed and is still there; `because` says why
  std::string because;       // plain English, always set
  uint64_t freed_bytes = 0;  // what nobody needs without it and those above it in the plan
};

// What ExpireBackups() would do now: one row a backup, newest first, those with an unreadable
// record last. Changes nothing and needs no lock.
[[nodiscard]] std::vector<ExpiryRow> PlanExpiry(const Repository& repository,
                                                const RetentionRules& rules);

// Removes, oldest first, and then sweeps. One backup that cannot be removed (somebody reads it, the
// operating system refuses) does not keep the others from going. `pause_point` is called before
// each removal, between which nothing is half done, and may throw; in a very large one also in
// between, and then what is left of it is in no list and goes with the next run. Returns the rows
// of the plan as they came true. With a `progress` it counts backups as files, and what they free
// as bytes. The caller holds `lock`.
[[nodiscard]] std::vector<ExpiryRow> ExpireBackups(const Repository& repository,
                                                   const WriterLock& lock,
                                                   const RetentionRules& rules,
                                                   const std::function<void()>& pause_point,
                                                   Progress* progress = nullptr);

// Removes one backup at somebody's wish. Throws Error(kNotInPrerequisiteState) with a hint for one
// that is pinned, for the newest good one unless `force` is set, and for one whose record cannot be
// read unless `force` is set; Error(kLocked) while it is read; Error(kNotFound). `backup_id` may be
// "latest". Returns the id. The caller holds `lock`.
std::string DropBackup(const Repository& repository, const WriterLock& lock,
                       std::string_view backup_id, bool force,
                       const std::function<void()>& pause_point);

}  // namespace backup_ext
