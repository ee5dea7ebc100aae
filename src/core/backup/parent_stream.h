// One parent's manifest, read in step with a scan.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/pack_table.h"
#include "format/manifest.h"
#include "format/record.h"

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

// The first section of a manifest. Main thread only.
class ParentStream {
 public:
  // `record`: of the backup that the manifest belongs to. `packs` must outlive it.
  ParentStream(std::unique_ptr<ManifestReader> reader, const BackupRecord& record,
               PackTable* packs);

  // Passes over what comes before `path`.
  void Seek(const std::string& path);
  // After Seek(): the file of this path, once.
  [[nodiscard]] std::optional<ParentFile> Take(const std::string& path,
                                               const DyingPacks& dying_packs);
  // The next entry, nothing behind the last. One whose file was taken has kind kRemoved.
  [[nodiscard]] const ManifestEntry* current() const { return current_ ? &*current_ : nullptr; }
  // The same, its frames by the pack table, and goes on.
  [[nodiscard]] ManifestEntry TakeCurrent();

 private:
  void Advance();
  [[nodiscard]] uint32_t TableIndex(uint32_t pack);

  const uint64_t start_lsn_;
  PackTable* packs_;
  std::unique_ptr<ManifestReader> reader_;
  std::optional<ManifestEntry> current_;
  std::map<PackId, uint64_t> sizes_;
  std::vector<uint32_t> indexes_;  // by number of the pack in the manifest
};

}  // namespace backup_ext
