// The packs that a run writes, known by their order of opening until the manifest names them.
//
// Any thread may call.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "format/names.h"
#include "format/record.h"

namespace backup_ext {

class PackTable {
 public:
  // The index by which this run's frames name the pack.
  [[nodiscard]] uint32_t Add(const PackId& pack);
  // The pack is committed. A pack never closed is no part of the backup.
  void Close(uint32_t index, uint64_t size_bytes);

  [[nodiscard]] PackId Find(uint32_t index) const;
  // Every pack in order of opening. Throws Error(kInternal) when one is still open.
  [[nodiscard]] std::vector<PackUse> Closed() const;

 private:
  mutable std::mutex mutex_;
  std::vector<PackUse> packs_;  // size_bytes 0: open
};

}  // namespace backup_ext
