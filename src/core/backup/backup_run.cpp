// The order of a backup: cluster, WAL, what the server supplies, packs, manifest, record.
#include "backup/backup_run.h"

#include <algorithm>
#include <set>
#include <utility>

#include "backup/copy_cluster.h"
#include "backup/copy_environment.h"
#include "backup/copy_small_files.h"
#include "backup/copy_wal.h"
#include "backup/finish.h"
#include "backup/manifest_builder.h"
#include "backup/pack_table.h"
#include "backup/run_loop.h"
#include "backup/unlogged_relations.h"
#include "base/error.h"

namespace backup_ext {

// The order of the members matters: what they are destroyed in is the reverse. Threads end first,
// then objects in the making go, then the objects that were stored.
struct BackupRun::State {
  State(const Repository& repository_of_run, ClusterFacts facts, BackupOptions run_options,
        ServerAccess* server_access, Progress* progress);
  ~State() { environment.stop = true; }
  // Adds to `late_unlogged`.
  void FindLateUnlogged();

  const Repository& repository;
  const BackupOptions options;
  ServerAccess* server;
  StoredObjects stored;
  PackTable packs;
  CopyEnvironment environment;
  EntryQueue cluster_entries;
  EntryQueue late_entries;
  ManifestBuilder manifest;
  CopiedCluster cluster;
  std::vector<SmallFile> supplied;
  std::set<std::string> late_unlogged;
  bool is_copied = false;
  WalCopier wal;
  RunLoop loop;
};

BackupRun::State::State(const Repository& repository_of_run, ClusterFacts facts,
                        BackupOptions run_options, ServerAccess* server_access, Progress* progress)
    : repository(repository_of_run),
      options(std::move(run_options)),
      server(server_access),
      stored(repository, options.backup_id),
      manifest(
          repository, &packs,
          {kManifestVersion, facts.system_identifier, options.backup_id, {}, facts.block_bytes},
          options.compression_level),
      wal(&environment, &loop),
      loop(options.threads, server) {
  environment.facts = std::move(facts);
  environment.progress = progress;
  environment.rate_limiter.SetBytesPerSecond(options.max_bytes_per_second);
  const int workers = options.threads + 1;  // the last one is the WAL copier's
  environment.workers.reserve(static_cast<size_t>(workers));
  for (int thread = 0; thread < workers; ++thread) {
    environment.workers.push_back(
        {PackWriter(repository, &packs, options.backup_id, static_cast<uint32_t>(thread),
                    options.compression_level),
         PageReader(&environment), Bytes(kFramePlainLimitBytes)});
  }
  loop.SetBackground([this] { wal.Advance(); });
}

void BackupRun::State::FindLateUnlogged() {
  late_unlogged.merge(backup_ext::FindLateUnlogged(environment.facts.data_directory,
                                                   cluster.init_forks, [this] { loop.Turn(); }));
}

BackupRun::BackupRun(const Repository& repository, ClusterFacts facts, BackupOptions options,
                     ServerAccess* server, Progress* progress)
    : state_(std::make_unique<State>(repository, std::move(facts), std::move(options), server,
                                     progress)) {}

BackupRun::~BackupRun() = default;

void BackupRun::CopyCluster(uint64_t start_lsn) {
  state_->environment.start_lsn = start_lsn;
  // Publishes a WAL position before the first page is judged by it.
  state_->loop.PauseNow();
  ClusterCopier copier(&state_->environment, &state_->cluster_entries, &state_->loop,
                       state_->server, &state_->manifest, &state_->cluster);
  copier.Estimate();
  copier.Copy();
  // Again in Finish(). Now, because a relation that is dropped after the end of backup mode takes
  // its init fork along, but replay up to that end does not drop it.
  state_->FindLateUnlogged();
  state_->is_copied = true;
}

void BackupRun::PostWalSegment(const std::string& file_name, uint64_t bytes) {
  state_->wal.Post(file_name, bytes);
}

size_t BackupRun::wal_segments_stored() const {
  state_->wal.Advance();
  return state_->wal.stored();
}

void BackupRun::DrainWal() {
  state_->environment.progress->phase = Phase::kWaitingForWal;
  state_->wal.Drain();
}

void BackupRun::SetMaxRate(uint64_t bytes_per_second) {
  state_->environment.rate_limiter.SetBytesPerSecond(bytes_per_second);
}

void BackupRun::PublishWalPosition(uint64_t lsn) { state_->environment.wal_position = lsn; }

void BackupRun::AddSuppliedFile(SuppliedFile file) {
  state_->supplied.push_back(MakeSmallFile(std::move(file)));
}

void BackupRun::Finish(BackupRecord* record, const WriterLock& lock) {
  if (!state_->is_copied) {
    throw Error(ErrorCode::kInternal, "the cluster was not copied to its end");
  }
  DrainWal();
  state_->environment.progress->phase = Phase::kCommitting;
  SecondSection section;
  section.wal = state_->wal.TakeEntries();
  state_->FindLateUnlogged();
  section.removed = state_->late_unlogged;
  state_->cluster.damage.RemoveFiles(section.removed);
  section.supplied = StoreSuppliedFiles(&state_->environment, &state_->late_entries, &state_->loop,
                                        std::move(state_->supplied));

  ClosePacks(&state_->environment, &state_->loop);
  const StoredManifest manifest = CommitManifest(&state_->manifest, section);
  FillRecord(state_->options.backup_id, state_->cluster, section, state_->packs.Closed(), manifest,
             record);
  // The last moment at which a cancel is heard: with the next step the backup exists.
  state_->loop.PauseNow();
  lock.Check();
  state_->stored.Commit(*record);
}

const std::vector<DamagedPage>& BackupRun::damaged_pages() const {
  return state_->cluster.damage.pages();
}

const std::vector<std::string>& BackupRun::warnings() const { return state_->cluster.warnings; }

}  // namespace backup_ext
