// The manifest's table of packs, which grows while it is read.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "format/names.h"

namespace backup_ext {

// Any thread.
class KnownPacks {
 public:
  // Takes over what is new in `packs`; the beginning never changes.
  void Extend(const std::vector<PackId>& packs);
  // Throws Error(kDamaged) for an index that no pack has. Valid as long as this is.
  [[nodiscard]] const PackId& Get(uint32_t index) const;

 private:
  mutable std::mutex mutex_;
  std::deque<PackId> packs_;
};

}  // namespace backup_ext
