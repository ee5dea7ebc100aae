// The media of a backup, seen from the server.
#pragma once

#include <memory>
#include <string>

#include "backup/media_run.h"
#include "store/catalog.h"
#include "store/lock.h"
#include "store/repository.h"

#include "backup_job.h"
#include "shared_state.h"

namespace backup_ext {

// A line for the log, and a NOTICE for who waits.
void TellCaller(JobSlot* slot, const std::string& text);

// Checks the directories, measures them and tells how long they will take; nothing when the job is
// to leave them out. Throws Error.
[[nodiscard]] std::unique_ptr<MediaRun> BeginMedia(const BackupJob& job,
                                                   const Repository& repository,
                                                   const Catalog& catalog,
                                                   uint64_t system_identifier, ServerAccess* access,
                                                   JobSlot* slot);

// The first look. When it is cancelled, what was stored is kept for the next backup; `record` is
// that of this one, as far as it is known.
void CopyMedia(MediaRun* media, const Repository& repository, const WriterLock& lock,
               const BackupRecord& record);

// For a backup that fails after the first look: keeps what it stored, as far as it is worth it,
// with a record that serves the media of the next backup alone. A failure is a WARNING. `record` as
// above.
void KeepMedia(MediaRun* media, const Repository& repository, const WriterLock& lock,
               BackupRecord record);

}  // namespace backup_ext
