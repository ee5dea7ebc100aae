// The entries of a manifest that belong to the backup, one after the other.
#include "restore/kept_entries.h"

#include <utility>

#include "store/manifest_source.h"

namespace backup_ext {

void ForEachKeptEntry(const Repository& repository, const BackupRecord& record,
                      const RestorePlan& plan, KnownPacks* packs, Progress* progress,
                      const std::function<void(ManifestEntry)>& take) {
  const auto reader = OpenManifest(repository, record);
  while (auto entry = reader->Next()) {
    packs->Extend(reader->packs());
    const bool removed = !reader->in_second_section() && plan.removed.count(entry->path) != 0;
    if (!removed) {
      take(std::move(*entry));
    } else if (FateOf(*entry) != Fate::kSkip) {
      progress->bytes_total -= entry->size_bytes;
      progress->files_total -= 1;
    }
  }
}

}  // namespace backup_ext
