// Damage that was found in one backup is told to those that share its packs.
#include "store/suspects.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "format/names.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

void Mark(const Repository& repository, const std::string& backup_id,
          std::string_view damaged_backup_id) {
  const BackupNotes notes = ReadNotes(repository, backup_id);
  if (IsSuspect(notes) || IsFoundDamaged(notes)) return;
  try {
    AddSuspectNote(repository, backup_id, {Now(), std::string(damaged_backup_id)});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound && error.code() != ErrorCode::kLocked) throw;
  }
}

}  // namespace

void MarkSuspects(const Repository& repository, const Catalog& catalog,
                  std::string_view damaged_backup_id) {
  const auto damaged =
      std::ranges::find(catalog.backups, damaged_backup_id, &BackupRecord::backup_id);
  if (damaged == catalog.backups.end()) return;
  std::set<PackId> packs;
  for (const PackUse& use : damaged->packs) packs.insert(use.pack);
  for (const BackupRecord& record : catalog.backups) {
    if (record.backup_id == damaged_backup_id) continue;
    const bool shares = std::ranges::any_of(
        record.packs, [&](const PackUse& use) { return packs.contains(use.pack); });
    if (shares) Mark(repository, record.backup_id, damaged_backup_id);
  }
}

}  // namespace backup_ext
