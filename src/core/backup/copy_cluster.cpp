// Hands the scan's finds to the threads, and what they finish to the manifest.
#include "backup/copy_cluster.h"

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "backup/change_proof.h"
#include "backup/cluster_scan.h"
#include "backup/copy_file.h"

namespace backup_ext {
namespace {

// Four frames or so: few half-full ones, and still enough tasks for all threads.
constexpr uint64_t kBatchBytes = 1024 * 1024;
constexpr size_t kBatchFiles = 512;
// What may be under way: about 5 MB of entries and as much of page maps.
constexpr size_t kWindowFiles = 8192;
constexpr uint64_t kWindowBytes = 16ULL * 1024 * 1024 * 1024;
// Scattered maps of files that nobody opens pile up fast behind one that is long in reading.
constexpr uint64_t kWindowHeldBytes = 64ULL * 1024 * 1024;

// The pg_tblspc/<oid> of a path below it; empty for any other.
std::string TablespaceOf(const std::string& path) {
  constexpr std::string_view kPrefix = "pg_tblspc/";
  if (!path.starts_with(kPrefix)) return {};
  const size_t slash = path.find('/', kPrefix.size());
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

uint32_t OidOfTablespace(const std::string& path) {
  uint32_t oid = 0;
  const char* begin = path.data() + path.rfind('/') + 1;
  std::from_chars(begin, path.data() + path.size(), oid);
  return oid;
}

}  // namespace

void ClusterCopier::Estimate() {
  environment_->progress->Enter(Phase::kEstimating);
  ClusterScan scan(environment_->facts);
  uint64_t bytes = 0;
  uint64_t files = 0;
  while (const auto scanned = scan.Next()) {
    loop_->Turn();
    if (scanned->entry.kind != EntryKind::kFile) continue;
    bytes += scanned->entry.size_bytes;
    ++files;
  }
  environment_->progress->files_total = files;
  environment_->progress->bytes_total = bytes;
}

void ClusterCopier::Copy() {
  environment_->progress->Enter(Phase::kCopying);
  ClusterScan scan(environment_->facts);
  while (auto scanned = scan.Next()) {
    loop_->Turn();
    WaitForWindow();
    Dispatch(*std::move(scanned));
    WriteFinished();
  }
  PostBatch();
  while (queue_->size() > 0) {
    loop_->Wait();
    WriteFinished();
  }
  result_->init_forks = scan.TakeKnownInitForks();
  for (std::string& warning : scan.TakeWarnings()) Warn(std::move(warning));
}

void ClusterCopier::Dispatch(ScannedEntry scanned) {
  if (scanned.entry.kind == EntryKind::kFile) {
    DispatchFile(std::move(scanned));
    return;
  }
  const uint64_t slot = queue_->Begin(0);
  queue_->Finish(slot, {CopiedEntry{std::move(scanned.entry), {}}, {}});
}

void ClusterCopier::DispatchFile(ScannedEntry scanned) {
  std::optional<ParentFile> parent = parents_->Find(scanned.entry.path);
  if (parent && IsWholeFileUnchanged(scanned, *parent, environment_->facts, environment_->rules)) {
    environment_->progress->files_done += 1;
    environment_->progress->bytes_done += scanned.entry.size_bytes;
    // As the parent saw it, its time of reading, too: that is what "untouched since" is about.
    queue_->Finish(queue_->Begin(0), {CopiedEntry{std::move(parent->entry), {}}, {}});
    return;
  }
  std::optional<AuditedFile> audited;
  if (auto earlier = audited_->Find(scanned.entry.path);
      earlier && scanned.relation && scanned.relation->fork == Fork::kMain) {
    audited.emplace(AuditedFile{*std::move(earlier), ++audited_files_, false, {}});
  }
  const auto shared = [&]() -> std::shared_ptr<const ParentFile> {
    return parent ? std::make_shared<const ParentFile>(*std::move(parent)) : nullptr;
  };
  if (scanned.is_relation_map) {
    std::optional<Bytes> content = server_->ReadRelationMap(scanned.entry.path);
    if (!content) {
      environment_->progress->files_done += 1;
      return;
    }
    const uint64_t slot = queue_->Begin(content->size());
    AddToBatch({slot, std::move(scanned), shared(), nullptr, std::move(content)});
    return;
  }
  const uint64_t slot = queue_->Begin(scanned.entry.size_bytes);
  if (scanned.entry.size_bytes < kSmallFileBytes) {
    const auto compared = audited ? std::make_shared<AuditedFile>(*std::move(audited)) : nullptr;
    AddToBatch({slot, std::move(scanned), shared(), compared, std::nullopt});
    return;
  }
  const uint32_t parts = FileInParts::CountParts(scanned, parent.has_value());
  const auto file = std::make_shared<FileInParts>(environment_, queue_, slot, std::move(scanned),
                                                  std::move(parent), std::move(audited));
  for (uint32_t part = 0; part < parts; ++part) {
    loop_->Post([environment = environment_, file, part](int thread) {
      file->CopyPart(part, &environment->workers[static_cast<size_t>(thread)]);
    });
  }
}

void ClusterCopier::AddToBatch(SmallFile file) {
  batch_bytes_ += file.scanned.entry.size_bytes;
  batch_.push_back(std::move(file));
  if (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchFiles) PostBatch();
}

void ClusterCopier::PostBatch() {
  if (batch_.empty()) return;
  const auto files = std::make_shared<const std::vector<SmallFile>>(std::exchange(batch_, {}));
  batch_bytes_ = 0;
  loop_->Post([environment = environment_, queue = queue_, files](int thread) {
    CopySmallFiles(environment, &environment->workers[static_cast<size_t>(thread)], queue, *files);
  });
}

void ClusterCopier::WaitForWindow() {
  const auto is_full = [this] {
    return queue_->size() >= kWindowFiles || queue_->weight_bytes() >= kWindowBytes ||
           queue_->held_bytes() >= kWindowHeldBytes;
  };
  if (!is_full()) return;
  // The oldest slot may be in the batch.
  PostBatch();
  while (is_full()) {
    loop_->Wait();
    WriteFinished();
  }
}

void ClusterCopier::WriteFinished() {
  while (auto outcome = queue_->TakeNext()) {
    if (!outcome->warning.empty()) Warn(std::move(outcome->warning));
    if (outcome->copied) Write(*std::move(outcome->copied));
  }
}

void ClusterCopier::WriteFinishedOfInterrupted() {
  while (auto outcome = queue_->TakeNextFinished()) {
    if (outcome->copied && outcome->copied->damage.empty()) Write(*std::move(outcome->copied));
  }
}

void ClusterCopier::Write(CopiedEntry copied) {
  const ManifestEntry& entry = copied.entry;
  if (entry.kind == EntryKind::kTablespaceLink) {
    result_->tablespaces[entry.path] = {OidOfTablespace(entry.path), entry.link_target, 0};
  } else if (entry.kind == EntryKind::kFile && !result_->tablespaces.empty()) {
    const auto tablespace = result_->tablespaces.find(TablespaceOf(entry.path));
    if (tablespace != result_->tablespaces.end()) tablespace->second.size_bytes += entry.size_bytes;
  }
  result_->damage.Append(std::move(copied.damage));
  manifest_->Add(std::move(copied.entry));
}

void ClusterCopier::Warn(std::string warning) {
  if (result_->warnings.size() < ClusterScan::kWarningLimit) {
    result_->warnings.push_back(std::move(warning));
  }
}

}  // namespace backup_ext
