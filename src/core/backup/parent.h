// What earlier backups hold of the files of this cluster: the parents' manifests, read beside the
// scan.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/pack_table.h"
#include "format/manifest.h"
#include "store/repository.h"

namespace backup_ext {

// What is stored again so that a pack can go: by index in the pack table, its frames that begin
// before this offset.
using DyingPacks = std::map<uint32_t, uint64_t>;
[[nodiscard]] inline bool IsDying(const DyingPacks& dying, const FrameRef& frame) {
  const auto found = dying.find(frame.pack);
  return found != dying.end() && frame.offset_bytes < found->second;
}

// A file as a parent holds it. The frames of its map name packs by the run's pack table.
struct ParentFile {
  ManifestEntry entry;
  uint64_t start_lsn = 0;  // of the backup that read it
  // Some of it lies in packs that are mostly dead: what is taken over from those is stored again.
  bool uses_dying_pack = false;
};

// Main thread only. A removal in the second section of a parent is passed over: what the first one
// holds of that file was on the disk when it was read, which is all that the proofs ask.
class ParentFiles {
 public:
  // `parents`: newest first, each proved to be usable and its manifest whole. All must outlive it.
  ParentFiles(const Repository& repository, const std::vector<ParentBackup>& parents,
              PackTable* packs);
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
  class Stream;
  void ChooseDyingPacks(const BackupRecord& record, PackTable* packs);

  std::vector<std::unique_ptr<Stream>> streams_;
  DyingPacks dying_packs_;
};

}  // namespace backup_ext
