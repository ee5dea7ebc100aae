// A data directory of relation files whose pages cannot be compressed, changed page by page: what a
// long life of a database looks like to a backup. No server, no WAL.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "base/bytes.h"
#include "base/file.h"
#include "cluster/changed_blocks.h"

namespace backup_ext {

// SplitMix64: small, and the same everywhere, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t limit) { return Next() % limit; }
  // 0 to 1, without 1.
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

class FakeCluster {
 public:
  // Makes `directory`, with that many pages.
  FakeCluster(std::string directory, uint64_t pages, uint64_t seed);

  [[nodiscard]] uint64_t pages() const { return pages_; }
  [[nodiscard]] ClusterFacts Facts() const;
  // Writes new content under a new LSN. A page at pages() extends the cluster by one.
  void Change(uint64_t page);

  // A backup begins: its start LSN. Every change after this has a greater one.
  [[nodiscard]] uint64_t BeginBackup();
  // What was changed since the backup before this one, as WAL summaries would say; for
  // BackupOptions. Then forgets.
  [[nodiscard]] ChangedBlocks TakeChanges();
  // How many pages, each once.
  [[nodiscard]] uint64_t changed_pages() const { return changed_.size(); }
  [[nodiscard]] uint64_t wal_lsn() const { return lsn_ + 1; }

 private:
  static constexpr uint64_t kPagesOfFile = 16384;
  [[nodiscard]] std::string FileName(uint64_t file) const;
  void WritePage(uint64_t page);

  std::string directory_;
  uint64_t pages_ = 0;
  uint64_t lsn_ = 0x10000000;
  Random random_;
  std::vector<FileDescriptor> files_;
  std::set<uint64_t> changed_;
  uint64_t files_before_ = 0;  // when the last backup began: those that follow are new
};

inline constexpr uint64_t kFakeSystemIdentifier = 7000000000000000001ULL;
inline constexpr uint32_t kFakePageBytes = 8192;

}  // namespace backup_ext
