// Copies what changed of one part of a file since a parent, and refers to the parent for the rest.
#pragma once

#include <cstdint>

#include "backup/change_proof.h"
#include "backup/copy_environment.h"
#include "backup/damage_list.h"
#include "backup/parent.h"
#include "backup/source_file.h"
#include "format/page_map.h"

namespace backup_ext {

// Pages `first` to `end - 1` of a file in pages. `first` is a multiple of 8. False when the run is
// to stop. `proof.kind` is not kNone.
[[nodiscard]] bool CopyChanges(CopyEnvironment* environment, Worker* worker,
                               const SourceFile& source, const ParentFile& parent,
                               const PageProof& proof, uint64_t first, uint64_t end, PageMap* map,
                               DamageList* damage);

// Reads a small file of pages, already in `pages`: true when each is the parent's and none is
// missing.
[[nodiscard]] bool AreAllPagesOfParent(ByteSpan pages, const SourceFile& source,
                                       const ParentFile& parent, const ClusterFacts& facts);

}  // namespace backup_ext
