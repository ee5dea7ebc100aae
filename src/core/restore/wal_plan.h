// Is the WAL there that a backup needs to become consistent?
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "format/record.h"

namespace backup_ext {

// Name in pg_wal (segments and histories) to size.
using WalFiles = std::map<std::string, uint64_t>;

// The ranges of the record; from its start to its stop where it names none. Newest timeline first.
[[nodiscard]] std::vector<WalRange> WalRangesOf(const BackupRecord& record);

// Throws Error(kDamaged), naming the segment, unless every segment from the start to the end of
// every range is there, under the range's timeline or a newer one of the ranges (the first segment
// of a timeline holds the end of the one before), whole, or at least up to the end of the range.
void CheckWalIsComplete(const BackupRecord& record, const WalFiles& files);

}  // namespace backup_ext
