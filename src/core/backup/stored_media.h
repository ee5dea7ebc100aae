// What a run stored of media, for its record.
#pragma once

#include <cstdint>
#include <vector>

#include "format/record.h"

namespace backup_ext {

struct StoredMedia {
  MediaRecord record;
  bool is_full = false;  // refers to no complete backup
  std::vector<PackUse> packs;
  uint64_t stored_bytes = 0;
};

}  // namespace backup_ext
