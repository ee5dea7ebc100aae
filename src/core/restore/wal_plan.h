// Is the WAL there that a backup needs to become consistent?
#pragma once

#include "cluster/needed_wal.h"
#include "format/record.h"

namespace backup_ext {

// Throws Error(kDamaged), naming the first segment of which FindMissingWal() has something to say.
void CheckWalIsComplete(const BackupRecord& record, const WalFiles& files);

}  // namespace backup_ext
