// The manifest's table of packs, which grows while it is read.
#include "store/known_packs.h"

#include <fmt/format.h>

#include "base/error.h"

namespace backup_ext {

void KnownPacks::Extend(const std::vector<PackId>& packs) {
  const std::lock_guard lock(mutex_);
  for (size_t i = packs_.size(); i < packs.size(); ++i) packs_.push_back(packs[i]);
}

const PackId& KnownPacks::Get(uint32_t index) const {
  const std::lock_guard lock(mutex_);
  if (index >= packs_.size()) {
    throw Error(ErrorCode::kDamaged, fmt::format("its manifest names no pack {}", index));
  }
  return packs_[index];
}

}  // namespace backup_ext
