// Names packs as the manifest does, and counts and digests what is stored.
#include "backup/manifest_builder.h"

#include <utility>

namespace backup_ext {

ManifestBuilder::ManifestBuilder(const Repository& repository, PackTable* packs,
                                 const ManifestHeader& header, int compression_level)
    : ManifestBuilder(repository, packs, header, compression_level,
                      ManifestName(header.backup_id)) {}

ManifestBuilder::ManifestBuilder(const Repository& repository, PackTable* packs,
                                 const ManifestHeader& header, int compression_level,
                                 const std::string& object_name)
    : packs_(packs), object_(repository.store().Create(object_name)) {
  writer_ = std::make_unique<ManifestWriter>(header, compression_level,
                                             [this](ByteSpan frame) { Append(frame); });
}

void ManifestBuilder::Append(ByteSpan frame) {
  object_->Append(frame);
  digest_.Update(frame);
}

void ManifestBuilder::Add(ManifestEntry entry) {
  for (FrameRef& frame : entry.map.frames) {
    if (frames_met_.Meet(frame)) packs_->CountUse(frame);
    const auto [place, is_new] = pack_numbers_.try_emplace(frame.pack, 0);
    if (is_new) place->second = writer_->PackIndex(packs_->Find(frame.pack));
    frame.pack = place->second;
  }
  writer_->Add(entry);
}

void ManifestBuilder::BeginSecondSection() { writer_->BeginSecondSection(); }

StoredManifest ManifestBuilder::Commit() {
  StoredManifest stored;
  stored.totals = writer_->Finish();
  object_->Commit();
  stored.size_bytes = object_->size_bytes();
  stored.digest = digest_.Finish();
  return stored;
}

}  // namespace backup_ext
