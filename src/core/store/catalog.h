// The catalog: all records of a repository, and the few changes that it knows: add and remove.
//
// A `pause_point` here is called after each hundred objects that were removed, and may throw;
// empty: there is nothing to listen to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "store/hold.h"
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

// What was kept of backups that ended early, for the next one to refer to: newest first. They are
// in no list and cannot be restored. One that cannot be read is left out.
[[nodiscard]] std::vector<BackupRecord> ReadInterrupted(const Repository& repository);
void CommitInterrupted(const Repository& repository, const BackupRecord& record);
// All of them: once a backup is complete it holds what was wanted of them. Their packs go unless a
// record lists them. The caller holds the writer's lock.
void DropInterrupted(const Repository& repository, const std::function<void()>& pause_point = {});
// Interrupted backups that are kept at a time.
inline constexpr size_t kInterruptedLimit = 3;

// Removes the backup whose hold the caller has, and takes it out of `*catalog`: record, then
// manifest, then what else lies beside it, then each pack that it listed or wrote and that no other
// record lists, those of interrupted backups too. Missing parts are no error. While another record
// is unreadable all packs stay, for a later sweep. When the pause point throws, the
// backup is gone from `*catalog`, and what is left is for a later sweep. Returns the bytes freed.
// The caller holds the writer's lock, and `*catalog` was read under it.
uint64_t RemoveBackup(const Repository& repository, const RemovalHold& hold, Catalog* catalog,
                      const std::function<void()>& pause_point = {});
// The same for one backup: reads the catalog and takes the hold. What a crash left of a removal is
// removed too. Throws Error(kLocked) while somebody reads the backup.
uint64_t RemoveBackup(const Repository& repository, std::string_view backup_id);

// The bytes that RemoveBackup() would free now, had it to remove the backups of `ids` in this
// order: one number a backup. Changes nothing.
[[nodiscard]] std::vector<uint64_t> BytesToFree(const Repository& repository,
                                                const Catalog& catalog,
                                                const std::vector<std::string>& ids);

// Removes what crashed or cancelled backups left: objects below backups/ and packs/ of ids that
// have no record and whose packs no record lists, and temporaries. Of interrupted ones the newest
// kInterruptedLimit stay. The caller holds the writer's lock, so no backup is running. Returns the
// bytes freed, temporaries not counted. When any record is unreadable nothing is removed but
// temporaries.
uint64_t SweepUnreferenced(const Repository& repository,
                           const std::function<void()>& pause_point = {});

}  // namespace backup_ext
