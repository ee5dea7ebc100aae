// Chooses what the next backup may refer to, and looks whether all of that is still there.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "policy/parent_choice.h"
#include "store/catalog.h"
#include "store/repository.h"

namespace backup_ext {

enum class RequestedKind { kAuto, kFull, kIncremental };

struct ParentRequest {
  RequestedKind kind = RequestedKind::kAuto;
  Microseconds full_interval = 0;  // 0: never
  Microseconds now = 0;
  ClusterNow cluster;
  std::set<std::string> remembered;  // backup ids (cluster_memory.h)
};

struct ChosenParents {
  // For BackupOptions. Empty, or with interrupted full backups only, when the next one is full.
  std::vector<ParentBackup> parents;
  // What a full backup is compared with: the parent that an incremental one would have. At most
  // one.
  std::vector<ParentBackup> audited;
  std::string kind;    // "full" or "incremental"
  std::string reason;  // why it is a full one; empty for "incremental"
  // Why the newest backup is no parent, where an older one is: `backup <id> lacks pack ...`.
  std::string passed_over;
  bool is_newest_damaged = false;  // something of that one is missing or broken in the repository
};

// Throws Error(kNotInPrerequisiteState) when an incremental backup is asked for and no parent is
// usable. The caller holds the writer's lock, and has read `catalog` since. Reads the manifests of
// the parents once.
[[nodiscard]] ChosenParents ChooseParents(const Repository& repository, const Catalog& catalog,
                                          const ParentRequest& request,
                                          const std::function<void()>& pause_point);

// Those of the media of a new backup, newest first: what media are compared with. Empty when it is
// a full one, or none can be read. `system_identifier`: of this cluster. Throws nothing for a
// parent that is damaged. The caller holds the writer's lock, and has read `catalog` since.
[[nodiscard]] std::vector<ParentBackup> ChooseMediaParents(
    const Repository& repository, const Catalog& catalog, RequestedKind kind,
    Microseconds full_interval, Microseconds now, uint64_t system_identifier,
    const std::function<void()>& pause_point);

// From the records of a cluster's backup and of a new one.
[[nodiscard]] ClusterShape ShapeOf(const BackupRecord& record);

}  // namespace backup_ext
