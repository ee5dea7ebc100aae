// Keeps the list of a run's packs.
#include "backup/pack_table.h"

#include "base/error.h"
#include "format/pack.h"

namespace backup_ext {

uint32_t PackTable::Add(const PackId& pack) {
  const std::lock_guard<std::mutex> lock(mutex_);
  packs_.push_back({pack, 0, 0});
  return static_cast<uint32_t>(packs_.size() - 1);
}

void PackTable::Close(uint32_t index, uint64_t size_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  PackUse& use = packs_.at(index);
  use.size_bytes = size_bytes;
  use.used_bytes = size_bytes - kPackHeaderBytes;
}

PackId PackTable::Find(uint32_t index) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return packs_.at(index).pack;
}

std::vector<PackUse> PackTable::Closed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const PackUse& use : packs_) {
    if (use.size_bytes == 0) {
      throw Error(ErrorCode::kInternal, "a pack of the backup is still open");
    }
  }
  return packs_;
}

}  // namespace backup_ext
