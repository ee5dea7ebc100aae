// Two looks at the media directories: the second one takes over what did not change since the
// first, as that one does from an earlier backup.
#include "backup/media_run.h"

#include <atomic>
#include <memory>
#include <set>
#include <utility>

#include "backup/change_proof.h"
#include "backup/copy_environment.h"
#include "backup/copy_file.h"
#include "backup/dispatch_entries.h"
#include "backup/finish.h"
#include "backup/manifest_builder.h"
#include "backup/media_directories.h"
#include "backup/media_scan.h"
#include "backup/parent.h"
#include "backup/run_loop.h"
#include "base/error.h"

namespace backup_ext {
namespace {

constexpr size_t kWarningLimit = 1000;

}  // namespace

// The order of the members matters, as in BackupRun.
struct MediaRun::State {
  State(const Repository& repository_of_run, uint64_t system_identifier_of_run,
        MediaOptions run_options, ServerAccess* server_access, Progress* run_progress);
  ~State() { environment.stop = true; }

  void Begin(const std::string& object_name);
  void End(MediaScan* scan);
  [[nodiscard]] bool HasCompleteParent() const;
  [[nodiscard]] ManifestHeader Header() const;
  void Dispatch(ScannedEntry scanned, std::optional<ParentFile> parent);
  void LookAgain(MediaScan* scan, ParentStream* draft);
  void KeepGone(ParentStream* draft, const std::string* until);
  [[nodiscard]] bool IsBelowReplaced(const std::string& path) const;
  void Take(Outcome outcome);
  [[nodiscard]] std::optional<ManifestEntry> CopyLinkAsFile(ManifestEntry entry);
  [[nodiscard]] std::optional<ManifestEntry> CopyOnThread(SourceFile source);
  void Count(const ManifestEntry& entry);
  void CountDraft();
  void Warn(std::string warning);
  void WarnUnreadable(std::string warning);
  [[nodiscard]] StoredMedia Stored(const StoredManifest& manifest) const;

  const Repository& repository;
  const uint64_t system_identifier;
  const MediaOptions options;
  ServerAccess* server;
  Progress* progress;
  Progress unseen;  // of the second look: its files were counted by the first one
  StoredObjects stored;
  PackTable packs;
  ParentFiles parents;
  CopyEnvironment environment;
  EntryQueue queue;
  MediaRoots roots;
  MediaRecord record;
  std::optional<StoredManifest> draft;
  std::set<std::string> first_names;    // of both looks so far
  std::set<std::string> written_names;  // those of them that the manifest holds as files
  std::set<std::string> replaced;       // with '/': directories of the first look that are none now
  std::vector<std::string> warnings;
  std::optional<ManifestBuilder> manifest;
  const MediaScan* scan_under_way = nullptr;
  std::optional<EntryDispatcher> dispatcher;
  std::optional<RunLoop> loop;
};

MediaRun::State::State(const Repository& repository_of_run, uint64_t system_identifier_of_run,
                       MediaOptions run_options, ServerAccess* server_access,
                       Progress* run_progress)
    : repository(repository_of_run),
      system_identifier(system_identifier_of_run),
      options(std::move(run_options)),
      server(server_access),
      progress(run_progress),
      stored(repository, options.backup_id),
      parents(repository, options.parents, &packs, ManifestKind::kMedia),
      roots(options.directories) {
  environment.progress = progress;
  environment.packs = &packs;
  environment.rules = {options.untouched_margin, nullptr};
  environment.rate_limiter.SetBytesPerSecond(options.max_bytes_per_second);
  environment.workers.reserve(static_cast<size_t>(options.threads));
  for (int thread = 0; thread < options.threads; ++thread) {
    environment.workers.push_back(
        {PackWriter(repository, &packs, options.backup_id,
                    kFirstMediaThread + static_cast<uint32_t>(thread), options.compression_level),
         PageReader(&environment), Bytes(kFramePlainLimitBytes), nullptr});
  }
}

bool MediaRun::State::HasCompleteParent() const {
  return !options.parents.empty() && !options.parents.back().is_interrupted;
}

ManifestHeader MediaRun::State::Header() const {
  return {kManifestVersion, system_identifier, options.backup_id,
          HasCompleteParent() ? options.parents.back().record.backup_id : std::string(),
          environment.facts.block_bytes};
}

void MediaRun::State::Begin(const std::string& object_name) {
  record = {};
  for (const std::string& path : options.directories) record.directories.push_back({path, 0, 0});
  record.read_at = Now();
  written_names.clear();
  manifest.emplace(repository, &packs, Header(), options.compression_level, object_name);
  loop.emplace(options.threads, options.priority, server);
  dispatcher.emplace(&environment, &queue, &*loop,
                     [this](Outcome outcome) { Take(std::move(outcome)); });
}

void MediaRun::State::End(MediaScan* scan) {
  dispatcher->Drain();
  dispatcher.reset();
  loop.reset();
  scan_under_way = nullptr;
  first_names.insert(scan->first_names().begin(), scan->first_names().end());
  for (std::string& problem : scan->TakeUnreadable()) WarnUnreadable(std::move(problem));
  for (std::string& warning : scan->TakeWarnings()) Warn(std::move(warning));
}

void MediaRun::State::Dispatch(ScannedEntry scanned, std::optional<ParentFile> parent) {
  if (scanned.entry.kind != EntryKind::kFile) {
    dispatcher->AddFinished(std::move(scanned.entry));
    return;
  }
  if (parent && IsWholeFileUnchanged(scanned, *parent, environment.facts, environment.rules)) {
    dispatcher->AddUnchanged(scanned, *std::move(parent));
    return;
  }
  dispatcher->AddFile(std::move(scanned), std::move(parent), std::nullopt, std::nullopt);
}

void MediaRun::State::LookAgain(MediaScan* scan, ParentStream* earlier) {
  while (auto scanned = scan->Next()) {
    loop->Turn();
    dispatcher->MakeRoom();
    const std::string& path = scanned->entry.path;
    KeepGone(earlier, &path);
    std::optional<ParentFile> parent;
    if (const ManifestEntry* before = earlier->current(); before && before->path == path) {
      if (before->kind == EntryKind::kDirectory && scanned->entry.kind != EntryKind::kDirectory) {
        replaced.insert(path + "/");
      }
      if (before->kind == EntryKind::kFile && scanned->entry.kind == EntryKind::kFile) {
        parent = earlier->Take(path, {});
      } else {
        (void)earlier->TakeCurrent();
      }
    }
    Dispatch(*std::move(scanned), std::move(parent));
    dispatcher->TakeFinished();
  }
  KeepGone(earlier, nullptr);
}

void MediaRun::State::KeepGone(ParentStream* earlier, const std::string* until) {
  while (earlier->current() != nullptr) {
    if (until != nullptr && earlier->current()->path >= *until) return;
    loop->Turn();
    dispatcher->MakeRoom();
    ManifestEntry entry = earlier->TakeCurrent();
    if (entry.kind == EntryKind::kRemoved || IsBelowReplaced(entry.path)) continue;
    dispatcher->AddFinished(std::move(entry));
    dispatcher->TakeFinished();
  }
}

bool MediaRun::State::IsBelowReplaced(const std::string& path) const {
  for (const std::string& directory : replaced) {
    if (path.starts_with(directory)) return true;
  }
  return false;
}

void MediaRun::State::Take(Outcome outcome) {
  if (!outcome.copied) {
    if (!outcome.warning.empty()) WarnUnreadable(std::move(outcome.warning));
    return;
  }
  if (!outcome.warning.empty()) Warn(std::move(outcome.warning));
  ManifestEntry entry = std::move(outcome.copied->entry);
  if (entry.kind == EntryKind::kHardLink && !written_names.contains(entry.link_target)) {
    std::optional<ManifestEntry> file = CopyLinkAsFile(std::move(entry));
    if (!file) return;
    entry = *std::move(file);
  }
  if (entry.kind == EntryKind::kFile &&
      (first_names.contains(entry.path) ||
       (scan_under_way != nullptr && scan_under_way->first_names().contains(entry.path)))) {
    written_names.insert(entry.path);
  }
  Count(entry);
  manifest->Add(std::move(entry));
}

// The name by which the file was known first went away before it was opened.
std::optional<ManifestEntry> MediaRun::State::CopyLinkAsFile(ManifestEntry entry) {
  for (const MediaRoots::Root& root : roots.roots()) {
    if (!entry.path.starts_with(root.name + "/")) continue;
    ScannedEntry scanned;
    const std::string below = entry.path.substr(root.name.size() + 1);
    scanned.media = MediaPlace{root.directory.get(), below, JoinPath(root.path, below), false};
    scanned.entry = std::move(entry);
    scanned.entry.kind = EntryKind::kFile;
    scanned.entry.link_target.clear();
    std::string warning;
    auto source = SourceFile::Open(environment, scanned, &warning);
    if (!warning.empty()) WarnUnreadable(std::move(warning));
    if (!source) return std::nullopt;
    return CopyOnThread(*std::move(source));
  }
  return std::nullopt;
}

// Waits for it, with pauses. Nothing when the run is to stop.
std::optional<ManifestEntry> MediaRun::State::CopyOnThread(SourceFile source) {
  struct Copying {
    explicit Copying(SourceFile opened) : source(std::move(opened)) {}
    SourceFile source;
    std::optional<CopiedEntry> copied;
    std::atomic<bool> is_done{false};
  };
  // A pause may throw while the thread is at work.
  const auto copying = std::make_shared<Copying>(std::move(source));
  loop->Post([this, copying](int thread) {
    copying->copied = CopyWholeFile(&environment, &environment.workers[static_cast<size_t>(thread)],
                                    copying->source);
    copying->is_done = true;
  });
  while (!copying->is_done) loop->Wait();
  if (!copying->copied) return std::nullopt;
  return std::move(copying->copied->entry);
}

void MediaRun::State::Count(const ManifestEntry& entry) {
  if (entry.kind != EntryKind::kFile) return;
  for (size_t i = 0; i < record.directories.size(); ++i) {
    if (!entry.path.starts_with(MediaRootName(i + 1) + "/")) continue;
    record.directories[i].files += 1;
    record.directories[i].size_bytes += entry.size_bytes;
    return;
  }
}

void MediaRun::State::Warn(std::string warning) {
  if (warnings.size() < kWarningLimit) warnings.push_back(std::move(warning));
}

void MediaRun::State::WarnUnreadable(std::string warning) {
  if (++record.unreadable == 1) record.first_unreadable = warning;
  Warn(std::move(warning));
}

// The packs that the first look needs, whatever the second one did.
void MediaRun::State::CountDraft() {
  packs.ForgetUse();
  FramesMet met;
  ParentStream entries(OpenManifestObject(repository, MediaDraftName(options.backup_id)),
                       BackupRecord(), &packs);
  while (entries.current() != nullptr) {
    for (const FrameRef& frame : entries.TakeCurrent().map.frames) {
      if (met.Meet(frame)) packs.CountUse(frame);
    }
  }
}

StoredMedia MediaRun::State::Stored(const StoredManifest& stored_manifest) const {
  StoredMedia media;
  media.record = record;
  media.record.manifest_bytes = stored_manifest.size_bytes;
  media.record.manifest_digest = HexEncode(stored_manifest.digest);
  media.is_full = !HasCompleteParent();
  media.packs = packs.Used();
  media.stored_bytes = stored_manifest.size_bytes + packs.WrittenBytes();
  return media;
}

MediaRun::MediaRun(const Repository& repository, uint64_t system_identifier, MediaOptions options,
                   ServerAccess* server, Progress* progress)
    : state_(std::make_unique<State>(repository, system_identifier, std::move(options), server,
                                     progress)) {}

MediaRun::~MediaRun() = default;

MediaEstimate MediaRun::Estimate() {
  state_->progress->Enter(Phase::kEstimatingMedia);
  MediaEstimate estimate;
  MediaScan scan(state_->roots, false);
  ParentFiles parents(state_->repository, state_->options.parents, &state_->packs,
                      ManifestKind::kMedia);
  RunLoop loop(1, state_->options.priority, state_->server);
  while (const auto scanned = scan.Next()) {
    loop.Turn();
    if (scanned->entry.kind != EntryKind::kFile) continue;
    ++estimate.files;
    estimate.bytes += scanned->entry.size_bytes;
    const auto parent = parents.Find(scanned->entry.path);
    if (parent && IsWholeFileUnchanged(*scanned, *parent, state_->environment.facts,
                                       state_->environment.rules)) {
      continue;
    }
    ++estimate.changed_files;
    estimate.changed_bytes += scanned->entry.size_bytes;
  }
  state_->progress->files_total = estimate.files;
  state_->progress->bytes_total = estimate.bytes;
  return estimate;
}

void MediaRun::Copy() {
  state_->progress->Enter(Phase::kCopyingMedia);
  state_->Begin(MediaDraftName(state_->options.backup_id));
  MediaScan scan(state_->roots, false);
  state_->scan_under_way = &scan;
  while (auto scanned = scan.Next()) {
    state_->loop->Turn();
    state_->dispatcher->MakeRoom();
    std::optional<ParentFile> parent;
    if (scanned->entry.kind == EntryKind::kFile) parent = state_->parents.Find(scanned->entry.path);
    state_->Dispatch(*std::move(scanned), std::move(parent));
    state_->dispatcher->TakeFinished();
  }
  state_->End(&scan);
  state_->manifest->BeginSecondSection();
  state_->draft = state_->manifest->Commit();
  state_->manifest.reset();
}

void MediaRun::CopyAgain() {
  if (!state_->draft) throw Error(ErrorCode::kInternal, "media were not copied before");
  state_->progress->Enter(Phase::kRereadingMedia);
  state_->packs.ForgetUse();
  state_->warnings.clear();
  state_->environment.progress = &state_->unseen;
  state_->environment.rules.untouched_margin = kUntouchedMargin;
  ParentStream draft(
      OpenManifestObject(state_->repository, MediaDraftName(state_->options.backup_id)),
      BackupRecord(), &state_->packs);
  state_->Begin(MediaManifestName(state_->options.backup_id));
  MediaScan scan(state_->roots, true);
  state_->scan_under_way = &scan;
  state_->LookAgain(&scan, &draft);
  state_->End(&scan);
}

StoredMedia MediaRun::Finish() {
  if (!state_->manifest) throw Error(ErrorCode::kInternal, "media were not read again");
  RunLoop loop(1, state_->options.priority, state_->server);
  ClosePacks(&state_->environment, &loop);
  state_->manifest->BeginSecondSection();
  const StoredManifest manifest = state_->manifest->Commit();
  return state_->Stored(manifest);
}

std::optional<StoredMedia> MediaRun::KeepInterrupted() {
  state_->environment.stop = true;
  state_->loop.reset();
  for (Worker& worker : state_->environment.workers) worker.packs.Close();
  if (state_->packs.WrittenBytes() < state_->options.keep_interrupted_from_bytes) {
    return std::nullopt;
  }
  if (!state_->draft) {
    if (!state_->manifest) return std::nullopt;
    while (auto outcome = state_->queue.TakeNextFinished()) {
      if (!outcome->copied || outcome->copied->entry.kind != EntryKind::kFile) continue;
      state_->manifest->Add(std::move(outcome->copied->entry));
    }
    state_->manifest->BeginSecondSection();
    state_->draft = state_->manifest->Commit();
  }
  state_->CountDraft();
  return state_->Stored(*state_->draft);
}

void MediaRun::Release() { state_->stored.Release(); }

bool MediaRun::is_released() const { return state_->stored.is_released(); }

void MediaRun::Commit() {
  Release();
  try {
    state_->repository.store().Delete(MediaDraftName(state_->options.backup_id));
  } catch (const Error&) {
    // It goes with the backup.
  }
}

void MediaRun::SetGivesWay(bool gives_way) { state_->environment.give_way.Set(gives_way); }

Microseconds MediaRun::time_given() const { return state_->environment.give_way.given(); }

uint64_t MediaRun::bytes_read() const { return state_->environment.bytes_read; }

void MediaRun::SetMaxRate(uint64_t bytes_per_second) {
  state_->environment.rate_limiter.SetBytesPerSecond(bytes_per_second);
}

const std::vector<std::string>& MediaRun::warnings() const { return state_->warnings; }

}  // namespace backup_ext
