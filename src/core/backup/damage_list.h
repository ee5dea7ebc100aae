// The damaged pages of a file or of a run: the first ones by name, all of them by number.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_run.h"

namespace backup_ext {

class DamageList {
 public:
  void Add(DamagedPage page);
  // Takes over what another file's list holds.
  void Append(DamageList other);
  // Forgets pages of files that do not belong to the backup after all.
  void RemoveFiles(const std::set<std::string>& paths);

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] uint64_t count() const { return count_; }
  // At most kKeptPages of them.
  [[nodiscard]] const std::vector<DamagedPage>& pages() const { return pages_; }
  // `2 pages in 1 file failed their checksum: base/5/16384 block 12, base/5/16384 block 14`
  [[nodiscard]] std::string Describe() const;

  static constexpr size_t kKeptPages = 1000;

 private:
  std::vector<DamagedPage> pages_;
  uint64_t count_ = 0;
};

}  // namespace backup_ext
