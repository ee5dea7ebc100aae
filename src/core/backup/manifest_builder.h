// Writes the manifest object while the backup runs. Main thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/pack_table.h"
#include "base/digest.h"
#include "format/manifest.h"
#include "store/repository.h"

namespace backup_ext {

struct StoredManifest {
  ManifestTotals totals;
  uint64_t size_bytes = 0;
  Digest128 digest{};
};

class ManifestBuilder {
 public:
  // `repository` and `packs` must outlive it.
  ManifestBuilder(const Repository& repository, PackTable* packs, const ManifestHeader& header,
                  int compression_level);
  // The same under another name than ManifestName().
  ManifestBuilder(const Repository& repository, PackTable* packs, const ManifestHeader& header,
                  int compression_level, const std::string& object_name);
  ManifestBuilder(const ManifestBuilder&) = delete;
  ManifestBuilder& operator=(const ManifestBuilder&) = delete;

  // The map's frames name packs by the pack table's index; their use is counted there. Entries come
  // as ManifestWriter wants them.
  void Add(ManifestEntry entry);
  void BeginSecondSection();
  // Makes the manifest durable. All packs must be committed before.
  [[nodiscard]] StoredManifest Commit();

 private:
  void Append(ByteSpan frame);

  PackTable* packs_;
  FramesMet frames_met_;
  std::map<uint32_t, uint32_t> pack_numbers_;  // pack table's index to the manifest's
  std::unique_ptr<ObjectWriter> object_;
  Xxh3Stream digest_;
  std::unique_ptr<ManifestWriter> writer_;
};

}  // namespace backup_ext
