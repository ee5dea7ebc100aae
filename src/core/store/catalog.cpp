// The catalog: all records of a repository, and the few changes that it knows: add and remove.
//
// What a crash may leave is never a record whose backup is not whole: the record comes last and
// goes first, and every step is durable before the next one begins.
#include "store/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "format/names.h"

namespace backup_ext {
namespace {

// A record lists its packs: about 100 bytes for each 64 MiB.
constexpr uint64_t kRecordLimitBytes = 512ULL * 1024 * 1024;

// Nothing when there is no such record. Throws what reading and decoding throw.
std::optional<BackupRecord> ReadRecordObject(const Repository& repository,
                                             const std::string& object_name,
                                             const std::string& backup_id) {
  const std::optional<Bytes> text = repository.store().Get(object_name, kRecordLimitBytes);
  if (!text) return std::nullopt;
  BackupRecord record = DecodeRecord(AsText(*text));
  if (record.backup_id != backup_id) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("the record is that of backup \"{}\"", record.backup_id));
  }
  const uint64_t expected = repository.identity().system_identifier;
  if (record.system_identifier != expected) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("the record is that of system identifier {}, the repository's is {}",
                            record.system_identifier, expected));
  }
  return record;
}

std::optional<BackupRecord> ReadRecord(const Repository& repository, const std::string& backup_id) {
  return ReadRecordObject(repository, RecordName(backup_id), backup_id);
}

// True for what is wrong with one record, not with the whole repository.
bool ConcernsOneRecord(ErrorCode code) {
  return code == ErrorCode::kDamaged || code == ErrorCode::kUnsupportedFormat ||
         code == ErrorCode::kIo || code == ErrorCode::kPermissionDenied;
}

std::string JoinIds(const std::vector<std::string>& ids) {
  std::string joined;
  for (const std::string& id : ids) joined += joined.empty() ? id : ", " + id;
  return joined;
}

BackupRecord FindLatest(const Repository& repository) {
  Catalog catalog = ReadCatalog(repository);
  std::vector<std::string> damaged;
  for (BackupRecord& record : catalog.backups) {
    if (record.state == "complete") return std::move(record);
    damaged.push_back(record.backup_id);
  }
  std::vector<std::string> unreadable;
  for (const UnreadableRecord& record : catalog.unreadable) unreadable.push_back(record.backup_id);

  std::string hint = "Take a backup first: SELECT backup_now().";
  if (!damaged.empty()) {
    hint = fmt::format("Only damaged backups exist. Name one of them to use it nevertheless: {}.",
                       JoinIds(damaged));
  } else if (!unreadable.empty()) {
    hint = "Find out why the records cannot be read before anything else is done.";
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("repository \"{}\" holds no complete backup", repository.location()),
              unreadable.empty() ? ""
                                 : fmt::format("The records of these backups cannot be read: {}.",
                                               JoinIds(unreadable)),
              std::move(hint));
}

void CheckBackupId(std::string_view backup_id) {
  if (IsBackupId(backup_id)) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a backup ID", backup_id), {},
              "A backup ID looks like 20261123-103245-9f3a2c1b. Use \"latest\" for the newest "
              "complete backup.");
}

std::set<PackId> ListedPacks(const std::vector<BackupRecord>& records) {
  std::set<PackId> packs;
  for (const BackupRecord& record : records) {
    for (const PackUse& use : record.packs) packs.insert(use.pack);
  }
  return packs;
}

uint64_t DeleteObject(ObjectStore* store, const ObjectInfo& object) {
  return store->Delete(object.name) ? object.size_bytes : 0;
}

// A removal of ordinary size is never cut in two.
constexpr size_t kRemovalsBetweenPauses = 100;

class Pauses {
 public:
  explicit Pauses(const std::function<void()>& pause_point) : pause_point_(pause_point) {}
  void Next() {
    if (pause_point_ && ++count_ % kRemovalsBetweenPauses == 0) pause_point_();
  }

 private:
  const std::function<void()>& pause_point_;
  size_t count_ = 0;
};

// Everything below backups/<id>/. The record is gone already.
uint64_t DeleteBackupObjects(ObjectStore* store, const std::string& backup_id) {
  uint64_t freed_bytes = 0;
  // First what says that the rest is of use.
  store->Delete(InterruptedName(backup_id));
  for (const ObjectInfo& object : store->List(BackupPrefix(backup_id))) {
    freed_bytes += DeleteObject(store, object);
  }
  return freed_bytes;
}

// The packs of a backup that is gone, but for those in `kept`. What is no pack stays: we did not
// put it there.
uint64_t DeletePacks(ObjectStore* store, const std::string& backup_id, const std::set<PackId>& kept,
                     Pauses* pauses) {
  uint64_t freed_bytes = 0;
  for (const ObjectInfo& object : store->List(PackPrefix(backup_id))) {
    pauses->Next();
    const std::optional<PackId> pack = ParsePackName(object.name);
    if (pack && !kept.contains(*pack)) freed_bytes += DeleteObject(store, object);
  }
  return freed_bytes;
}

uint64_t SizeOf(ObjectStore* store, const std::string& name) {
  const std::unique_ptr<ObjectReader> object = store->Open(name);
  return object == nullptr ? 0 : object->size_bytes();
}

void Forget(const std::string& backup_id, Catalog* catalog) {
  std::erase_if(catalog->backups,
                [&](const BackupRecord& record) { return record.backup_id == backup_id; });
  std::erase_if(catalog->unreadable,
                [&](const UnreadableRecord& record) { return record.backup_id == backup_id; });
}

std::set<PackId> KeptPacks(const Repository& repository, const std::vector<BackupRecord>& backups) {
  std::set<PackId> packs = ListedPacks(backups);
  packs.merge(ListedPacks(ReadInterrupted(repository)));
  return packs;
}

uint64_t RemoveObjects(const Repository& repository, const std::string& id, Catalog* catalog,
                       const std::function<void()>& pause_point) {
  ObjectStore& store = repository.store();
  uint64_t freed_bytes = 0;
  for (const ObjectInfo& object : store.List(BackupPrefix(id))) freed_bytes += object.size_bytes;
  std::vector<PackUse> listed;
  const auto record = std::ranges::find(catalog->backups, id, &BackupRecord::backup_id);
  if (record != catalog->backups.end()) listed = record->packs;

  // Until this has come true the catalog knows the backup, so that no other removal takes its
  // packs.
  store.Delete(RecordName(id));
  Forget(id, catalog);
  store.Delete(ManifestName(id));
  DeleteBackupObjects(&store, id);
  // A record that cannot be read may list any pack; the next sweep without one removes them.
  if (!catalog->unreadable.empty()) return freed_bytes;
  const std::set<PackId> kept = KeptPacks(repository, catalog->backups);
  Pauses pauses(pause_point);
  freed_bytes += DeletePacks(&store, id, kept, &pauses);
  // Those of other backups that are gone and left them to this one.
  for (const PackUse& use : listed) {
    if (kept.contains(use.pack)) continue;
    pauses.Next();
    const std::string name = PackName(use.pack);
    freed_bytes += DeleteObject(&store, {.name = name, .size_bytes = SizeOf(&store, name)});
  }
  return freed_bytes;
}

}  // namespace

Catalog ReadCatalog(const Repository& repository) {
  Catalog catalog;
  for (const std::string& name : repository.store().ListNames(std::string(kBackupsPrefix))) {
    if (!IsBackupId(name)) continue;
    try {
      std::optional<BackupRecord> record = ReadRecord(repository, name);
      if (record) catalog.backups.push_back(*std::move(record));
    } catch (const Error& error) {
      if (!ConcernsOneRecord(error.code())) throw;
      catalog.unreadable.push_back({name, error.message()});
    }
  }
  std::ranges::sort(catalog.backups, [](const BackupRecord& a, const BackupRecord& b) {
    return std::tie(a.started_at, a.backup_id) > std::tie(b.started_at, b.backup_id);
  });
  return catalog;
}

BackupRecord FindBackup(const Repository& repository, std::string_view backup_id) {
  if (backup_id == "latest") return FindLatest(repository);
  CheckBackupId(backup_id);
  std::optional<BackupRecord> record;
  try {
    record = ReadRecord(repository, std::string(backup_id));
  } catch (const Error& error) {
    if (!ConcernsOneRecord(error.code())) throw;
    throw Error(
        error.code(),
        fmt::format("could not read the record of backup \"{}\": {}", backup_id, error.message()),
        error.detail(), error.hint());
  }
  if (record) return *std::move(record);
  throw Error(ErrorCode::kNotFound, fmt::format("backup \"{}\" does not exist", backup_id), {},
              "See the list of backups: SELECT * FROM backup_list().");
}

void CommitBackup(const Repository& repository, const BackupRecord& record) {
  CheckBackupId(record.backup_id);
  repository.CheckOwner(record.system_identifier);
  repository.store().Put(RecordName(record.backup_id), AsBytes(EncodeRecord(record)));
}

std::vector<BackupRecord> ReadInterrupted(const Repository& repository) {
  std::vector<BackupRecord> interrupted;
  for (const std::string& id : repository.store().ListNames(std::string(kBackupsPrefix))) {
    if (!IsBackupId(id) || repository.store().Open(RecordName(id)) != nullptr) continue;
    try {
      auto record = ReadRecordObject(repository, InterruptedName(id), id);
      if (record) interrupted.push_back(*std::move(record));
    } catch (const Error& error) {
      if (!ConcernsOneRecord(error.code())) throw;
    }
  }
  std::ranges::sort(interrupted, [](const BackupRecord& a, const BackupRecord& b) {
    return std::tie(a.started_at, a.backup_id) > std::tie(b.started_at, b.backup_id);
  });
  return interrupted;
}

void CommitInterrupted(const Repository& repository, const BackupRecord& record) {
  CheckBackupId(record.backup_id);
  repository.CheckOwner(record.system_identifier);
  repository.store().Put(InterruptedName(record.backup_id), AsBytes(EncodeRecord(record)));
}

void DropInterrupted(const Repository& repository, const std::function<void()>& pause_point) {
  for (const BackupRecord& record : ReadInterrupted(repository)) {
    repository.store().Delete(InterruptedName(record.backup_id));
  }
  SweepUnreferenced(repository, pause_point);
}

uint64_t RemoveBackup(const Repository& repository, const RemovalHold& hold, Catalog* catalog,
                      const std::function<void()>& pause_point) {
  return RemoveObjects(repository, hold.backup_id(), catalog, pause_point);
}

uint64_t RemoveBackup(const Repository& repository, std::string_view backup_id) {
  CheckBackupId(backup_id);
  // Read before anything goes, so that a failure here changes nothing.
  Catalog catalog = ReadCatalog(repository);
  const std::optional<RemovalHold> hold = RemovalHold::TryTake(repository, backup_id);
  if (!hold && repository.store().Open(RecordName(backup_id)) != nullptr) {
    throw BackupIsHeld(backup_id);
  }
  return RemoveObjects(repository, std::string(backup_id), &catalog, {});
}

std::vector<uint64_t> BytesToFree(const Repository& repository, const Catalog& catalog,
                                  const std::vector<std::string>& ids) {
  ObjectStore& store = repository.store();
  // How many records list each pack; those that go are taken off one after the other.
  std::map<PackId, size_t> users;
  for (const BackupRecord& record : catalog.backups) {
    for (const PackUse& use : record.packs) ++users[use.pack];
  }
  for (const BackupRecord& record : ReadInterrupted(repository)) {
    for (const PackUse& use : record.packs) ++users[use.pack];
  }
  std::vector<uint64_t> freed;
  for (const std::string& id : ids) {
    uint64_t& freed_bytes = freed.emplace_back(0);
    for (const ObjectInfo& object : store.List(BackupPrefix(id))) freed_bytes += object.size_bytes;
    const auto record = std::ranges::find(catalog.backups, id, &BackupRecord::backup_id);
    if (!catalog.unreadable.empty() || record == catalog.backups.end()) continue;
    for (const PackUse& use : record->packs) --users[use.pack];
    for (const ObjectInfo& object : store.List(PackPrefix(id))) {
      const std::optional<PackId> pack = ParsePackName(object.name);
      if (pack && users[*pack] == 0) freed_bytes += object.size_bytes;
    }
    for (const PackUse& use : record->packs) {
      if (use.pack.backup_id == id || users[use.pack] != 0) continue;
      freed_bytes += SizeOf(&store, PackName(use.pack));
    }
  }
  return freed;
}

uint64_t SweepUnreferenced(const Repository& repository, const std::function<void()>& pause_point) {
  ObjectStore& store = repository.store();
  store.SweepTemporaries();
  const Catalog catalog = ReadCatalog(repository);
  if (!catalog.unreadable.empty()) return 0;
  std::vector<BackupRecord> interrupted = ReadInterrupted(repository);
  if (interrupted.size() > kInterruptedLimit) interrupted.resize(kInterruptedLimit);
  std::set<PackId> listed = ListedPacks(catalog.backups);
  listed.merge(ListedPacks(interrupted));
  // Asked by name, since a listing may miss one.
  const auto has_record = [&](const std::string& id) {
    return store.Open(RecordName(id)) != nullptr;
  };
  const auto is_kept = [&](const std::string& id) {
    return std::ranges::find(interrupted, id, &BackupRecord::backup_id) != interrupted.end() ||
           has_record(id);
  };

  uint64_t freed_bytes = 0;
  Pauses pauses(pause_point);
  for (const std::string& id : store.ListNames(std::string(kBackupsPrefix))) {
    pauses.Next();
    if (IsBackupId(id) && !is_kept(id)) freed_bytes += DeleteBackupObjects(&store, id);
  }
  for (const std::string& id : store.ListNames(std::string(kPacksPrefix))) {
    if (!IsBackupId(id) || has_record(id)) continue;
    freed_bytes += DeletePacks(&store, id, listed, &pauses);
  }
  return freed_bytes;
}

}  // namespace backup_ext
