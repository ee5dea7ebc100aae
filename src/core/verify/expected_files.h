// What the manifest must hold, known before its files are read.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cluster/needed_wal.h"
#include "format/manifest.h"
#include "format/record.h"
#include "store/repository.h"
#include "verify/problem_list.h"

namespace backup_ext {

struct ExpectedFiles {
  uint64_t files = 0;
  uint64_t bytes = 0;
  std::set<std::string> removed;  // paths of section 1 that do not belong to the backup
  std::set<std::string> late;     // paths of the files of section 2
};

// The spans of WAL that the backup needs, newest timeline first.
[[nodiscard]] std::vector<WalSpan> NeededWal(const BackupRecord& record);

// Reads the manifest once: throws Error(kDamaged) where it is not whole or not this backup's. Adds
// to `problems` what no backup can be started without and is not there.
[[nodiscard]] ExpectedFiles FindExpectedFiles(const Repository& repository,
                                              const BackupRecord& record, ProblemList* problems,
                                              const std::function<void()>& pause_point);

}  // namespace backup_ext
