// What a restore of a backup reads, and whether it is right.
#pragma once

#include <cstdint>
#include <string>

#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

struct RestoreCost {
  uint64_t file_bytes = 0;
  uint64_t decoded_bytes = 0;       // plain bytes of frames
  uint64_t most_in_hand_bytes = 0;  // frames in memory
};

// Reads every page back, file by file, and compares it with the data directory. Throws
// Error(kDamaged) with the first difference.
RestoreCost CompareWithDirectory(const Repository& repository, const BackupRecord& record,
                                 const std::string& data_directory);

}  // namespace backup_ext
