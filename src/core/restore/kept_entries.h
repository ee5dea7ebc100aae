// The entries of a manifest that belong to the backup, one after the other.
#pragma once

#include <functional>

#include "base/progress.h"
#include "format/manifest.h"
#include "format/record.h"
#include "restore/plan.h"
#include "store/known_packs.h"
#include "store/repository.h"

namespace backup_ext {

// Both sections, in their order, without what the second takes back; the totals of `progress` are
// lessened by those. `packs` knows the packs of an entry before `take` is given it.
void ForEachKeptEntry(const Repository& repository, const BackupRecord& record,
                      const RestorePlan& plan, KnownPacks* packs, Progress* progress,
                      const std::function<void(ManifestEntry)>& take);

}  // namespace backup_ext
