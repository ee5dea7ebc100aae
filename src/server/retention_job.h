// Retention after a backup, in the worker that took it.
#pragma once

#include "expire/expiry.h"
#include "format/record.h"
#include "store/lock.h"
#include "store/repository.h"

#include "shared_state.h"

namespace backup_ext {

// Removes what the settings no longer keep, once a backup is complete (a damaged one is no success:
// nothing is removed then). Still under that backup's lock. One line in the log a removed backup;
// what goes wrong is a WARNING there, for the backup itself is good. Never throws.
void ExpireAfterBackup(const Repository& repository, WriterLock* lock, const BackupRecord& record,
                       JobSlot* slot) noexcept;

// `backup_ext: backup ... removed: ...`, or a WARNING for one that was to be removed and was not.
void LogExpiry(const std::vector<ExpiryRow>& rows);

// What the removals in `rows` gave back.
[[nodiscard]] uint64_t FreedBytes(const std::vector<ExpiryRow>& rows);

}  // namespace backup_ext
