// Reads the parents' manifests in step with the scan.
#include "backup/parent.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "base/error.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

constexpr uint32_t kNoIndex = std::numeric_limits<uint32_t>::max();
// So that gathering is spread over backups, and none stores much more than twice its changes: what
// one of them stores again for the sake of packs is half of what the one before stored, or this.
constexpr uint64_t kRewriteAtLeastBytes = 1024 * 1024;
// A smaller pack is not worth the while.
constexpr uint64_t kSmallPackBytes = 64 * 1024;

}  // namespace

// One parent's first section.
class ParentFiles::Stream {
 public:
  Stream(const Repository& repository, const ParentBackup& parent, PackTable* packs)
      : start_lsn_(parent.record.start_lsn),
        packs_(packs),
        reader_(OpenManifest(repository, parent.record)) {
    for (const PackUse& use : parent.record.packs) sizes_[use.pack] = use.size_bytes;
    Advance();
  }

  // Passes over what comes before `path`.
  void Seek(const std::string& path) {
    while (current_ && current_->path < path) Advance();
  }

  // After Seek().
  [[nodiscard]] std::optional<ParentFile> Take(const std::string& path,
                                               const DyingPacks& dying_packs) {
    if (!current_ || current_->path != path || current_->kind != EntryKind::kFile)
      return std::nullopt;
    ParentFile file{std::move(*current_), start_lsn_, false};
    // Found once; its place in the order stays.
    current_ = ManifestEntry();
    current_->path = path;
    current_->kind = EntryKind::kRemoved;
    for (FrameRef& frame : file.entry.map.frames) {
      frame.pack = TableIndex(frame.pack);
      file.uses_dying_pack |= IsDying(dying_packs, frame);
    }
    return file;
  }

 private:
  void Advance() {
    current_ = reader_->Next();
    if (current_ && reader_->in_second_section()) current_.reset();
  }

  uint32_t TableIndex(uint32_t pack) {
    if (pack >= indexes_.size()) indexes_.resize(reader_->packs().size(), kNoIndex);
    uint32_t& index = indexes_.at(pack);
    if (index == kNoIndex) {
      const PackId& id = reader_->packs().at(pack);
      const auto size = sizes_.find(id);
      if (size == sizes_.end()) {
        throw Error(ErrorCode::kDamaged, "the record of the parent does not list all of its packs");
      }
      index = packs_->AddEarlier(id, size->second);
    }
    return index;
  }

  const uint64_t start_lsn_;
  PackTable* packs_;
  std::unique_ptr<ManifestReader> reader_;
  std::optional<ManifestEntry> current_;
  std::map<PackId, uint64_t> sizes_;
  std::vector<uint32_t> indexes_;  // by number of the pack in the manifest
};

ParentFiles::ParentFiles(const Repository& repository, const std::vector<ParentBackup>& parents,
                         PackTable* packs) {
  for (const ParentBackup& parent : parents) {
    streams_.push_back(std::make_unique<Stream>(repository, parent, packs));
  }
  // An interrupted one lists of each pack only what it came to: all would look mostly dead.
  if (!parents.empty() && !parents.back().is_interrupted) {
    ChooseDyingPacks(parents.back().record, packs);
  }
}

ParentFiles::~ParentFiles() = default;

void ParentFiles::ChooseDyingPacks(const BackupRecord& record, PackTable* packs) {
  std::vector<PackUse> dying;
  for (const PackUse& use : record.packs) {
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
