// An earlier stage becomes one that is being built.
#include "restore/take_over.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "restore/directory_content.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

// The paths that the backup writes, as digests.
class KeptPaths {
 public:
  KeptPaths(const Repository& repository, const BackupRecord& record, const RestorePlan& plan,
            const std::function<void()>& pause_point) {
    const auto reader = OpenManifest(repository, record);
    Microseconds next_pause = MonotonicNow();
    size_t first_section = 0;
    while (const auto entry = reader->Next()) {
      const bool is_second = reader->in_second_section();
      const bool removed = !is_second && plan.removed.count(entry->path) != 0;
      if (!removed && FateOf(*entry) == Fate::kWrite) Add(*entry);
      if (!is_second) first_section = digests_.size();
      if (MonotonicNow() < next_pause) continue;
      pause_point();
      next_pause = MonotonicNow() + kPauseEvery;
    }
    const auto middle = digests_.begin() + static_cast<ptrdiff_t>(first_section);
    std::sort(digests_.begin(), middle);
    // Inside a section paths ascend.
    const bool is_listed_twice = std::any_of(middle, digests_.end(), [&](uint64_t digest) {
      return std::binary_search(digests_.begin(), middle, digest);
    });
    if (is_listed_twice) throw Error(ErrorCode::kDamaged, "its manifest lists a file twice");
    std::sort(digests_.begin(), digests_.end());
  }

  [[nodiscard]] bool HasFile(std::string_view path) const { return Has(path); }
  [[nodiscard]] bool HasDirectory(const std::string& path) const { return Has(path + "/"); }

 private:
  void Add(const ManifestEntry& entry) {
    if (entry.kind == EntryKind::kFile) digests_.push_back(Xxh3Short(AsBytes(entry.path)));
    if (entry.kind == EntryKind::kDirectory) {
      digests_.push_back(Xxh3Short(AsBytes(entry.path + "/")));
    }
  }
  [[nodiscard]] bool Has(std::string_view path) const {
    return std::binary_search(digests_.begin(), digests_.end(), Xxh3Short(AsBytes(path)));
  }

  std::vector<uint64_t> digests_;
};

void RemoveAny(const std::string& path) {
  const auto status = StatLink(path);
  if (status && S_ISDIR(status->st_mode)) {
    RemoveTree(path);
  } else {
    RemoveFile(path);
  }
}

class Sweep {
 public:
  Sweep(const StageTree& tree, const KeptPaths& kept, const std::function<void()>& pause_point)
      : tree_(tree), kept_(kept), pause_point_(pause_point) {}

  void Run() {
    SweepTop(tree_.directory(), "");
    for (const auto& [oid, fd] : tree_.tablespaces()) {
      SweepTop(tree_.TablespacePath(oid), fmt::format("pg_tblspc/{}", oid));
    }
    SweepTablespacesTop();
    for (const std::string& directory : tree_.ClaimedDirectories()) {
      RemoveContent(fmt::format("{}/{}", directory, kStageFolder), "stage.json");
    }
  }

 private:
  void SweepTop(const std::string& directory, const std::string& path) {
    const auto entries = ReadDirectory(directory);
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
      if (entry.name == kStageFolder) continue;
      SweepOne(directory + "/" + entry.name, JoinPath(path, entry.name));
    }
  }

  // `path`: as in the manifest.
  void SweepOne(const std::string& full_path, const std::string& path) {
    pause_point_();
    const auto status = StatLink(full_path);
    if (!status) return;
    if (S_ISREG(status->st_mode) && kept_.HasFile(path)) return;
    if (!S_ISDIR(status->st_mode) || !kept_.HasDirectory(path)) {
      RemoveAny(full_path);
      return;
    }
    const auto entries = ReadDirectory(full_path);
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
      SweepOne(full_path + "/" + entry.name, path + "/" + entry.name);
    }
  }

  // Tablespaces that the new stage does not have, or has elsewhere.
  void SweepTablespacesTop() {
    const std::string top = tree_.tablespaces_directory();
    const auto claimed = tree_.ClaimedDirectories();
    if (std::ranges::find(claimed, top) == claimed.end()) return;
    const auto entries = ReadDirectory(top);
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
      const std::string path = top + "/" + entry.name;
      const bool is_known = std::ranges::any_of(tree_.tablespaces(), [&](const auto& known) {
        return tree_.TablespacePath(known.first) == path;
      });
      if (!is_known && entry.name != kStageFolder) RemoveAny(path);
    }
  }

  const StageTree& tree_;
  const KeptPaths& kept_;
  const std::function<void()>& pause_point_;
};

// Files of media are not compared: all are written anew.
void EmptyMedia(const StageTree& tree, const std::function<void()>& pause_point) {
  if (tree.media_directory().empty()) return;
  MakeRemovable(tree.media_directory(), pause_point);
  RemoveContent(tree.media_directory(), kStageFolder);
}

void RemoveUnusedTops(const StageTree& tree, const EarlierStage& earlier,
                      const std::function<void()>& pause_point) {
  auto claimed = tree.ClaimedDirectories();
  claimed.push_back(tree.media_directory());
  for (const std::string& directory : earlier.directories) {
    if (std::ranges::find(claimed, directory) != claimed.end()) continue;
    EmptyStageTop(directory, pause_point);
  }
  if (!earlier.socket_directory.empty()) RemoveTree(earlier.socket_directory);
}

}  // namespace

void RemoveControlFile(const StageTree& tree) {
  const std::string folder = tree.FullPath("global");
  const auto status = StatLink(folder);
  if (!status || !S_ISDIR(status->st_mode)) return;
  RemoveFile(folder + "/pg_control");
  SyncDirectory(folder);
}

void TakeOverStage(const Repository& repository, const BackupRecord& record,
                   const RestorePlan& plan, const StageTree& tree, const EarlierStage& earlier,
                   const std::function<void()>& pause_point) {
  RemoveControlFile(tree);
  const KeptPaths kept(repository, record, plan, pause_point);
  Sweep(tree, kept, pause_point).Run();
  EmptyMedia(tree, pause_point);
  RemoveUnusedTops(tree, earlier, pause_point);
}

}  // namespace backup_ext
