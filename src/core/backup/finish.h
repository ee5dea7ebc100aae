// The end of a backup, step by step: what is known late, packs, manifest, record.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/copy_cluster.h"
#include "backup/copy_environment.h"
#include "backup/copy_small_files.h"
#include "backup/entry_queue.h"
#include "backup/manifest_builder.h"
#include "backup/run_loop.h"
#include "backup/stored_media.h"
#include "format/manifest.h"
#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

// The objects of a backup that does not exist yet. Destroyed without Commit() it removes them, as
// far as it can: what stays is swept by the next run.
class StoredObjects {
 public:
  // `repository` must outlive it. Throws Error(kAlreadyExists) when there is such a backup: what it
  // removes must be its own.
  StoredObjects(const Repository& repository, std::string backup_id);
  ~StoredObjects();
  StoredObjects(const StoredObjects&) = delete;
  StoredObjects& operator=(const StoredObjects&) = delete;

  // Writes the record: the backup exists.
  void Commit(const BackupRecord& record);
  // Somebody else answers for them from here on.
  void Release() { committed_ = true; }
  [[nodiscard]] bool is_released() const { return committed_; }
  // Writes the other kind of record: the next run may use it.
  void CommitInterrupted(const BackupRecord& record);

 private:
  void Remove() const;

  const Repository& repository_;
  std::string backup_id_;
  bool committed_ = false;
};

struct SecondSection {
  std::vector<ManifestEntry> wal;
  std::vector<ManifestEntry> supplied;
  std::set<std::string> removed;  // paths; one that is not in section 1 means nothing
};

[[nodiscard]] SmallFile MakeSmallFile(SuppliedFile file);

// Stores their content on a thread and waits for it.
[[nodiscard]] std::vector<ManifestEntry> StoreSuppliedFiles(CopyEnvironment* environment,
                                                            EntryQueue* queue, RunLoop* loop,
                                                            std::vector<SmallFile> files);

// Makes all that was copied durable. No other task may be under way.
void ClosePacks(CopyEnvironment* environment, RunLoop* loop);

[[nodiscard]] StoredManifest CommitManifest(ManifestBuilder* manifest,
                                            const SecondSection& section);

// Each pack that the record lists is there, in its whole size. A holder whose lock ended without
// its knowledge (a suspended machine, NFS) must not commit what another swept. Throws Error(kIo).
void CheckPacksAreThere(const Repository& repository, const BackupRecord& record,
                        const std::function<void()>& pause_point);

// Everything in the record that only the storage side knows.
void FillRecord(const std::string& backup_id, const CopiedCluster& cluster,
                const SecondSection& section, const PackTable& packs,
                const StoredManifest& manifest, const std::optional<StoredMedia>& media,
                BackupRecord* record);

// Adds what was stored of media.
void AddMedia(const StoredMedia& media, BackupRecord* record);

// `N media files ... first reason`; empty where all could be read.
[[nodiscard]] std::string DescribeUnreadable(const MediaRecord& media);

}  // namespace backup_ext
