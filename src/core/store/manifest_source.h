// The manifest of a backup, from the store.
#pragma once

#include <functional>
#include <memory>

#include "format/manifest.h"
#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

// Which manifest of a backup.
enum class ManifestKind {
  kCluster,
  kMedia,  // of a backup that has media
};

// Reads the whole object and compares its size and digest with the record. Throws Error(kDamaged).
void CheckManifestObject(const Repository& repository, const BackupRecord& record,
                         const std::function<void()>& pause_point,
                         ManifestKind kind = ManifestKind::kCluster);

// A reader of it, whose header is that of this backup and this cluster. Throws Error(kDamaged).
[[nodiscard]] std::unique_ptr<ManifestReader> OpenManifest(
    const Repository& repository, const BackupRecord& record,
    ManifestKind kind = ManifestKind::kCluster);
// The same of the object `name`, which may be no part of the backup yet. Throws
// Error(kDamaged).
[[nodiscard]] std::unique_ptr<ManifestReader> OpenManifestObject(const Repository& repository,
                                                                 const std::string& name);

}  // namespace backup_ext
