// The first section of a backup: scan, copy on the threads, manifest in order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "backup/copy_environment.h"
#include "backup/damage_list.h"
#include "backup/dispatch_entries.h"
#include "backup/entry_queue.h"
#include "backup/manifest_builder.h"
#include "backup/parent.h"
#include "backup/run_loop.h"
#include "backup/unlogged_relations.h"
#include "format/record.h"

namespace backup_ext {

// What a run found out while it copied the cluster.
struct CopiedCluster {
  DamageList damage;
  std::vector<std::string> warnings;
  std::map<std::string, TablespaceRecord> tablespaces;  // by path in the manifest
  KnownInitForks init_forks;
};

// Main thread. Its tasks use `environment` and `queue` only: an exception may leave the copier
// while they run.
class ClusterCopier {
 public:
  // All must outlive it, `environment` and `queue` the loop's threads too.
  ClusterCopier(CopyEnvironment* environment, EntryQueue* queue, RunLoop* loop,
                ServerAccess* server, ParentFiles* parents, ParentFiles* audited,
                ManifestBuilder* manifest, CopiedCluster* result)
      : environment_(environment),
        queue_(queue),
        loop_(loop),
        dispatcher_(environment, queue, loop,
                    [this](Outcome outcome) { Take(std::move(outcome)); }),
        server_(server),
        parents_(parents),
        audited_(audited),
        manifest_(manifest),
        result_(result) {}

  // Sets the progress totals by a scan of its own.
  void Estimate();
  void Copy();
  // Of a run that ends early, when no task is under way any more: the entries that are finished.
  // Those of damaged files are left out.
  void WriteFinishedOfInterrupted();

 private:
  void Dispatch(ScannedEntry scanned);
  void Take(Outcome outcome);
  void Write(CopiedEntry copied);
  void Warn(std::string warning);

  CopyEnvironment* environment_;
  EntryQueue* queue_;
  RunLoop* loop_;
  EntryDispatcher dispatcher_;
  ServerAccess* server_;
  ParentFiles* parents_;
  ParentFiles* audited_;  // what a full backup compares with; empty else
  ManifestBuilder* manifest_;
  CopiedCluster* result_;
  uint64_t audited_files_ = 0;
};

}  // namespace backup_ext
