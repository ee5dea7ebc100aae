// What a restore of a backup would read, and whether it would be right.
#pragma once

#include <cstdint>
#include <string>

#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

struct RestoreCost {
  uint64_t file_bytes = 0;
  uint64_t decoded_bytes = 0;  // plain bytes of the frames of each file
  // Of the frames that are needed before and behind a page, where they are most.
  uint64_t most_in_hand_bytes = 0;
};

[[nodiscard]] RestoreCost MeasureRestore(const Repository& repository, const BackupRecord& record);

// Reads every page back and compares it with the data directory. Throws Error(kDamaged) with the
// first difference.
void CompareWithDirectory(const Repository& repository, const BackupRecord& record,
                          const std::string& data_directory);

}  // namespace backup_ext
