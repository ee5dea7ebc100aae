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
#include "backup/parent.h"
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
  ParentFiles parents;
  ParentFiles audited;
  AuditFindings findings;
  CopyEnvironment environment;
  EntryQueue cluster_entries;
  EntryQueue late_entries;
  ManifestBuilder manifest;
  CopiedCluster cluster;
  std::optional<ClusterCopier> copier;
  std::vector<SmallFile> supplied;
  std::optional<StoredMedia> media;
  std::set<std::string> late_unlogged;
  bool is_copied = false;
  bool is_finishing = false;
  WalCopier wal;
  RunLoop loop;
};

BackupRun::State::State(const Repository& repository_of_run, ClusterFacts facts,
                        BackupOptions run_options, ServerAccess* server_access, Progress* progress)
    : repository(repository_of_run),
      options(std::move(run_options)),
      server(server_access),
      stored(repository, options.backup_id),
      parents(repository, options.parents, &packs),
      audited(repository, options.audited, &packs),
      manifest(repository, &packs,
               {kManifestVersion, facts.system_identifier, options.backup_id,
                options.parents.empty() || options.parents.back().is_interrupted
                    ? std::string()
                    : options.parents.back().record.backup_id,
                facts.block_bytes},
               options.compression_level),
      wal(&environment, &loop),
      loop(options.threads, options.priority, server) {
  if (options.is_beside_media) stored.Release();
  environment.facts = std::move(facts);
  environment.progress = progress;
  environment.begun_at = options.begun_at;
  environment.packs = &packs;
  environment.rules = {options.untouched_margin, options.changes};
  environment.dying_packs = parents.dying_packs();
  environment.audit = {&repository, &packs, &environment.facts, 0, environment.rules, &findings};
  environment.rate_limiter.SetBytesPerSecond(options.max_bytes_per_second);
  const int workers = options.threads + 1;  // the last one is the WAL copier's
  environment.workers.reserve(static_cast<size_t>(workers));
  for (int thread = 0; thread < workers; ++thread) {
    environment.workers.push_back(
        {PackWriter(repository, &packs, options.backup_id, static_cast<uint32_t>(thread),
                    options.compression_level),
         PageReader(&environment), Bytes(kFramePlainLimitBytes), nullptr});
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
  state_->environment.audit.start_lsn = start_lsn;
  if (!state_->options.audited.empty()) {
    for (Worker& worker : state_->environment.workers) {
      worker.auditor = std::make_unique<Auditor>(state_->environment.audit);
    }
  }
  // Publishes a WAL position before the first page is judged by it.
  state_->loop.PauseNow();
  ClusterCopier& copier = state_->copier.emplace(
      &state_->environment, &state_->cluster_entries, &state_->loop, state_->server,
      &state_->parents, &state_->audited, &state_->manifest, &state_->cluster);
  if (state_->options.parents.empty()) {
    copier.Estimate();
  } else {
    // A second walk over all files would cost as much as the backup of few changes.
    const BackupRecord& parent = state_->options.parents.back().record;
    Progress* const progress = state_->environment.progress;
    progress->files_total = progress->files_done + parent.files;
    progress->bytes_total = progress->bytes_done + parent.database_bytes - parent.wal_bytes;
  }
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
  state_->environment.progress->Enter(Phase::kWaitingForWal);
  state_->wal.Drain();
}

void BackupRun::SetGivesWay(bool gives_way) { state_->environment.give_way.Set(gives_way); }

Microseconds BackupRun::time_given() const { return state_->environment.give_way.given(); }

uint64_t BackupRun::bytes_read() const { return state_->environment.bytes_read; }

void BackupRun::SetMaxRate(uint64_t bytes_per_second) {
  state_->environment.rate_limiter.SetBytesPerSecond(bytes_per_second);
}

void BackupRun::PublishWalPosition(uint64_t lsn) { state_->environment.wal_position = lsn; }

void BackupRun::AddSuppliedFile(SuppliedFile file) {
  state_->supplied.push_back(MakeSmallFile(std::move(file)));
}

void BackupRun::AddMedia(StoredMedia media) { state_->media = std::move(media); }

void BackupRun::Finish(BackupRecord* record, const WriterLock& lock) {
  if (!state_->is_copied) {
    throw Error(ErrorCode::kInternal, "the cluster was not copied to its end");
  }
  DrainWal();
  state_->is_finishing = true;
  state_->environment.progress->Enter(Phase::kCommitting);
  SecondSection section;
  section.wal = state_->wal.TakeEntries();
  state_->FindLateUnlogged();
  section.removed = state_->late_unlogged;
  state_->cluster.damage.RemoveFiles(section.removed);
  section.supplied = StoreSuppliedFiles(&state_->environment, &state_->late_entries, &state_->loop,
                                        std::move(state_->supplied));

  ClosePacks(&state_->environment, &state_->loop);
  const StoredManifest manifest = CommitManifest(&state_->manifest, section);
  FillRecord(state_->options.backup_id, state_->cluster, section, state_->packs, manifest,
             state_->media, record);
  CheckPacksAreThere(state_->repository, *record, [this] { state_->loop.Turn(); });
  // The last moment at which a cancel is heard: with the next step the backup exists.
  state_->loop.PauseNow();
  lock.Check();
  state_->stored.Commit(*record);
}

bool BackupRun::KeepInterrupted(BackupRecord* record, const WriterLock& lock) {
  if (!state_->copier || state_->is_finishing) return false;
  state_->environment.stop = true;
  state_->loop.Stop();
  state_->wal.Stop();
  for (Worker& worker : state_->environment.workers) worker.packs.Close();
  // With media that are worth it the rest is kept too.
  if (!state_->media &&
      state_->packs.WrittenBytes() < state_->options.keep_interrupted_from_bytes) {
    return false;
  }
  state_->copier->WriteFinishedOfInterrupted();
  // Some of the manifest may be damaged pages: what goes on from it would not know.
  if (!state_->cluster.damage.empty()) return false;
  const SecondSection nothing;
  const StoredManifest manifest = CommitManifest(&state_->manifest, nothing);
  FillRecord(state_->options.backup_id, state_->cluster, nothing, state_->packs, manifest,
             state_->media, record);
  record->state = "interrupted";
  lock.Check();
  state_->stored.CommitInterrupted(*record);
  return true;
}

const std::vector<DamagedPage>& BackupRun::damaged_pages() const {
  return state_->cluster.damage.pages();
}

std::string BackupRun::audit_findings() const { return state_->findings.Describe(); }

const std::vector<std::string>& BackupRun::warnings() const { return state_->cluster.warnings; }

}  // namespace backup_ext
