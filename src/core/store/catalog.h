// The catalog: all records of a repository, and the few changes that it knows: add and remove.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

// A record that cannot be read does not hide the others.
struct UnreadableRecord {
  std::string backup_id;
  std::string problem;
};
struct Catalog {
  std::vector<BackupRecord> backups;  // newest first, by started_at, then by id
  std::vector<UnreadableRecord> unreadable;
};
[[nodiscard]] Catalog ReadCatalog(const Repository& repository);

// One backup. `backup_id` may be "latest": the newest one that is complete. Throws Error(kNotFound)
// with a hint, Error(kInvalidArgument) for text that is no backup id, Error(kDamaged).
[[nodiscard]] BackupRecord FindBackup(const Repository& repository, std::string_view backup_id);

// Writes the record: from then on the backup exists.
void CommitBackup(const Repository& repository, const BackupRecord& record);

// Record, then manifest, then its own packs that no other record lists. Missing parts are no error,
// so it can be done again after a crash. While another record is unreadable its packs stay, for a
// later sweep. The caller holds the writer's lock.
void RemoveBackup(const Repository& repository, std::string_view backup_id);

// Removes what crashed or cancelled backups left: objects below backups/ and packs/ of ids that
// have no record and whose packs no record lists, and temporaries. The caller holds the writer's
// lock, so no backup is running. Returns the bytes freed, temporaries not counted. When any record
// is unreadable nothing is removed but temporaries.
uint64_t SweepUnreferenced(const Repository& repository);

}  // namespace backup_ext
