// What earlier backups hold of the files of this cluster: the parents' manifests, read beside the
// scan.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/pack_table.h"
#include "backup/parent_stream.h"
#include "store/manifest_source.h"
#include "store/repository.h"

namespace backup_ext {

// Main thread only. A removal in the second section of a parent is passed over: what the first one
// holds of that file was on the disk when it was read, which is all that the proofs ask.
class ParentFiles {
 public:
  // `parents`: newest first, each proved to be usable and its manifest whole. All must outlive it.
  ParentFiles(const Repository& repository, const std::vector<ParentBackup>& parents,
              PackTable* packs, ManifestKind kind = ManifestKind::kCluster);
  ~ParentFiles();
  ParentFiles(const ParentFiles&) = delete;
  ParentFiles& operator=(const ParentFiles&) = delete;

  // The file of this path in the newest parent that has it: an interrupted one lacks what was not
  // finished, and any of them is a parent that could stand alone. Paths must ascend. Throws
  // Error(kDamaged).
  [[nodiscard]] std::optional<ParentFile> Find(const std::string& path);

  // Packs of which the complete parent uses less than a half, by index in the pack table. Constant.
  [[nodiscard]] const DyingPacks& dying_packs() const { return dying_packs_; }

 private:
  void ChooseDyingPacks(const BackupRecord& record, PackTable* packs, ManifestKind kind);

  std::vector<std::unique_ptr<ParentStream>> streams_;
  DyingPacks dying_packs_;
};

}  // namespace backup_ext
