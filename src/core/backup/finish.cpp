// Order is everything here: packs, then the manifest, then the record.
#include "backup/finish.h"

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/names.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

// Nobody can interrupt a removal at the end of a run: of very much the rest is for the next one.
constexpr size_t kRemovedAtOnce = 1000;

}  // namespace

StoredObjects::StoredObjects(const Repository& repository, std::string backup_id)
    : repository_(repository), backup_id_(std::move(backup_id)) {
  if (repository_.store().Open(RecordName(backup_id_)) == nullptr) return;
  throw Error(ErrorCode::kAlreadyExists, fmt::format("backup \"{}\" exists already", backup_id_));
}

StoredObjects::~StoredObjects() {
  if (committed_) return;
  try {
    Remove();
  } catch (const std::exception&) {
    // The repository may be gone, which may be why the run ended. The next run sweeps.
  }
}

void StoredObjects::Commit(const BackupRecord& record) {
  CommitBackup(repository_, record);
  committed_ = true;
}

void StoredObjects::CommitInterrupted(const BackupRecord& record) {
  backup_ext::CommitInterrupted(repository_, record);
  committed_ = true;
}

// The record first, and nothing more when that fails: a commit that reported an error may have
// come through, and a record must never name packs that are gone.
void StoredObjects::Remove() const {
  ObjectStore& store = repository_.store();
  store.Delete(RecordName(backup_id_));
  store.Delete(InterruptedName(backup_id_));
  size_t left = kRemovedAtOnce;
  for (const std::string& prefix : {BackupPrefix(backup_id_), PackPrefix(backup_id_)}) {
    for (const ObjectInfo& object : store.List(prefix)) {
      if (left-- == 0) return;
      store.Delete(object.name);
    }
  }
}

void CheckPacksAreThere(const Repository& repository, const BackupRecord& record,
                        const std::function<void()>& pause_point) {
  for (const PackUse& use : record.packs) {
    const auto pack = repository.store().Open(PackName(use.pack));
    if (pack == nullptr || pack->size_bytes() != use.size_bytes) {
      throw Error(ErrorCode::kIo,
                  fmt::format("pack \"{}\" is not there any more", PackName(use.pack)),
                  "Another process removed it while this backup was taken: this one may have lost "
                  "its lock.",
                  "Take the backup again. Look at the file system that holds the repository.");
    }
    pause_point();
  }
}

SmallFile MakeSmallFile(SuppliedFile file) {
  SmallFile small;
  ManifestEntry& entry = small.scanned.entry;
  entry.kind = file.kind;
  entry.file_kind = file.file_kind;
  entry.path = std::move(file.path);
  entry.link_target = std::move(file.link_target);
  entry.mode = file.mode;
  entry.read_at = Now();
  small.content = std::move(file.content);
  return small;
}

std::vector<ManifestEntry> StoreSuppliedFiles(CopyEnvironment* environment, EntryQueue* queue,
                                              RunLoop* loop, std::vector<SmallFile> files) {
  for (SmallFile& file : files) file.slot = queue->Begin(0);
  const auto shared = std::make_shared<const std::vector<SmallFile>>(std::move(files));
  loop->Post([environment, queue, shared](int thread) {
    CopySmallFiles(environment, &environment->workers[static_cast<size_t>(thread)], queue, *shared);
  });
  loop->Drain();
  std::vector<ManifestEntry> entries;
  while (auto outcome = queue->TakeNext()) {
    if (outcome->copied) entries.push_back(std::move(outcome->copied->entry));
  }
  return entries;
}

void ClosePacks(CopyEnvironment* environment, RunLoop* loop) {
  for (Worker& worker : environment->workers) {
    loop->Post([packs = &worker.packs](int) { packs->Close(); });
  }
  loop->Drain();
}

StoredManifest CommitManifest(ManifestBuilder* manifest, const SecondSection& section) {
  std::vector<ManifestEntry> entries = section.wal;
  entries.insert(entries.end(), section.supplied.begin(), section.supplied.end());
  for (const std::string& path : section.removed) {
    ManifestEntry removed;
    removed.kind = EntryKind::kRemoved;
    removed.path = path;
    entries.push_back(std::move(removed));
  }
  std::ranges::sort(entries, {}, &ManifestEntry::path);
  manifest->BeginSecondSection();
  for (ManifestEntry& entry : entries) manifest->Add(std::move(entry));
  return manifest->Commit();
}

std::string DescribeUnreadable(const MediaRecord& media) {
  if (media.unreadable == 0) return {};
  return fmt::format(
      "{} media files or directories could not be read and are not in the backup: {}",
      media.unreadable, media.first_unreadable);
}

void AddMedia(const StoredMedia& media, BackupRecord* record) {
  record->media = media.record;
  record->media_bytes = 0;
  for (const MediaDirectoryRecord& directory : media.record.directories) {
    record->media_bytes += directory.size_bytes;
  }
  record->stored_bytes += media.stored_bytes;
  record->packs.insert(record->packs.end(), media.packs.begin(), media.packs.end());
  if (record->error.empty()) record->error = DescribeUnreadable(media.record);
}

void FillRecord(const std::string& backup_id, const CopiedCluster& cluster,
                const SecondSection& section, const PackTable& packs,
                const StoredManifest& manifest, const std::optional<StoredMedia>& media,
                BackupRecord* record) {
  record->backup_id = backup_id;
  record->state = cluster.damage.empty() ? "complete" : "damaged";
  record->error = cluster.damage.empty() ? std::string() : cluster.damage.Describe();
  record->database_bytes = manifest.totals.size_bytes;
  record->files = manifest.totals.files;
  record->wal_bytes = 0;
  for (const ManifestEntry& entry : section.wal) record->wal_bytes += entry.size_bytes;
  record->stored_bytes = manifest.size_bytes + packs.WrittenBytes();
  record->packs = packs.Used();
  record->manifest_bytes = manifest.size_bytes;
  record->manifest_digest = HexEncode(manifest.digest);
  record->tablespaces.clear();
  for (const auto& [path, tablespace] : cluster.tablespaces) {
    record->tablespaces.push_back(tablespace);
  }
  if (media) AddMedia(*media, record);
  if (record->finished_at == 0) record->finished_at = Now();
}

}  // namespace backup_ext
