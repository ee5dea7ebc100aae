// Hands the scan's finds to the threads, and what they finish to the manifest.
#include "backup/copy_cluster.h"

#include <charconv>
#include <optional>
#include <utility>

#include "backup/change_proof.h"
#include "backup/cluster_scan.h"

namespace backup_ext {
namespace {

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
  // Media were copied before.
  environment_->progress->files_total = environment_->progress->files_done + files;
  environment_->progress->bytes_total = environment_->progress->bytes_done + bytes;
}

void ClusterCopier::Copy() {
  environment_->progress->Enter(Phase::kCopying);
  ClusterScan scan(environment_->facts);
  while (auto scanned = scan.Next()) {
    loop_->Turn();
    dispatcher_.MakeRoom();
    Dispatch(*std::move(scanned));
    dispatcher_.TakeFinished();
  }
  dispatcher_.Drain();
  result_->init_forks = scan.TakeKnownInitForks();
  for (std::string& warning : scan.TakeWarnings()) Warn(std::move(warning));
}

void ClusterCopier::Dispatch(ScannedEntry scanned) {
  if (scanned.entry.kind != EntryKind::kFile) {
    dispatcher_.AddFinished(std::move(scanned.entry));
    return;
  }
  std::optional<ParentFile> parent = parents_->Find(scanned.entry.path);
  if (parent && IsWholeFileUnchanged(scanned, *parent, environment_->facts, environment_->rules)) {
    dispatcher_.AddUnchanged(scanned, *std::move(parent));
    return;
  }
  std::optional<AuditedFile> audited;
  if (auto earlier = audited_->Find(scanned.entry.path);
      earlier && scanned.relation && scanned.relation->fork == Fork::kMain) {
    audited.emplace(AuditedFile{*std::move(earlier), ++audited_files_, false, {}});
  }
  std::optional<Bytes> content;
  if (scanned.is_relation_map) {
    content = server_->ReadRelationMap(scanned.entry.path);
    if (!content) {
      environment_->progress->files_done += 1;
      return;
    }
  }
  dispatcher_.AddFile(std::move(scanned), std::move(parent), std::move(audited),
                      std::move(content));
}

void ClusterCopier::Take(Outcome outcome) {
  if (!outcome.warning.empty()) Warn(std::move(outcome.warning));
  if (outcome.copied) Write(*std::move(outcome.copied));
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
