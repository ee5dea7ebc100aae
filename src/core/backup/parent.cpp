// Reads the parents' manifests in step with the scan.
#include "backup/parent.h"

#include <algorithm>

namespace backup_ext {
namespace {

// So that gathering is spread over backups, and none stores much more than twice its changes: what
// one of them stores again for the sake of packs is half of what the one before stored, or this.
constexpr uint64_t kRewriteAtLeastBytes = 1024 * 1024;
// A smaller pack is not worth the while.
constexpr uint64_t kSmallPackBytes = 64 * 1024;

}  // namespace

ParentFiles::ParentFiles(const Repository& repository, const std::vector<ParentBackup>& parents,
                         PackTable* packs, ManifestKind kind) {
  for (const ParentBackup& parent : parents) {
    streams_.push_back(std::make_unique<ParentStream>(OpenManifest(repository, parent.record, kind),
                                                      parent.record, packs));
  }
  // An interrupted one lists of each pack only what it came to: all would look mostly dead.
  if (!parents.empty() && !parents.back().is_interrupted) {
    ChooseDyingPacks(parents.back().record, packs, kind);
  }
}

ParentFiles::~ParentFiles() = default;

void ParentFiles::ChooseDyingPacks(const BackupRecord& record, PackTable* packs,
                                   ManifestKind kind) {
  std::vector<PackUse> dying;
  for (const PackUse& use : record.packs) {
    if (IsMediaPack(use.pack) != (kind == ManifestKind::kMedia)) continue;
    if (use.size_bytes >= kSmallPackBytes && use.used_bytes < use.size_bytes / 2) {
      dying.push_back(use);
    }
  }
  // The emptiest first: it costs least to be rid of it.
  std::ranges::sort(dying, {}, &PackUse::used_bytes);
  uint64_t left = std::max(record.stored_bytes / 2, kRewriteAtLeastBytes);
  for (const PackUse& use : dying) {
    const uint32_t index = packs->AddEarlier(use.pack, use.size_bytes);
    if (use.used_bytes > left) {
      // Its beginning; the next backup finds less of it in use, and goes on.
      const double part = static_cast<double>(left) / static_cast<double>(use.used_bytes);
      dying_packs_[index] = static_cast<uint64_t>(static_cast<double>(use.size_bytes) * part);
      break;
    }
    left -= use.used_bytes;
    dying_packs_[index] = use.size_bytes;
  }
}

std::optional<ParentFile> ParentFiles::Find(const std::string& path) {
  std::optional<ParentFile> found;
  // All go on: the next path is not before this one.
  for (const auto& stream : streams_) {
    stream->Seek(path);
    if (!found) found = stream->Take(path, dying_packs_);
  }
  return found;
}

}  // namespace backup_ext
