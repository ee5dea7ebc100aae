// What a backup says: to the log, to the server's statistics, and to who asked for it.
#pragma once

#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/choose_parents.h"
#include "base/error.h"
#include "format/record.h"
#include "store/repository.h"

#include "backup_job.h"
#include "settings.h"

namespace backup_ext {

void WarnOf(const std::vector<std::string>& warnings);
// As a warning, when the caller waits. Cut where it does not fit.
void ShowToCaller(const std::string& text, JobSlot* slot);

// Tells the server's statistics, the log and the caller about pages that failed their checksum.
void ReportDamage(const std::vector<DamagedPage>& pages, const BackupRecord& record, JobSlot* slot);
// As loud as damage. The backup that found it is right. Said once.
void ReportAudit(const Repository& repository, const ChosenParents& chosen, const BackupRun& run,
                 JobSlot* slot);

void LogBackupStart(const BackupJob& job, const Settings& settings);
void LogBackupEnd(const BackupRecord& record);
// What it had stored is kept.
void LogInterruptedBackup(const BackupRecord& record);
// It is not, as a WARNING.
void WarnNotKept(const BackupRecord& record, const Error& error);
// For who is told of the job's end. The safety backup of a restore is not what that job is about.
void KeepFigures(const BackupRecord& record, JobSlot* slot);

}  // namespace backup_ext
