// Walks the data directory and its tablespaces in the order of the manifest.
//
// Full paths ascend byte by byte: `a`, then `a.b`, then `a/c`. Holds the names of the directories
// on the way down to the current one, never the whole tree. What vanishes meanwhile is passed over;
// a tablespace whose link stays and leads to none ends the walk with an error. Main thread only.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_run.h"
#include "backup/scanned_entry.h"
#include "backup/unlogged_relations.h"
#include "backup/walk_level.h"
#include "base/file.h"

namespace backup_ext {

class ClusterScan {
 public:
  // `facts` must outlive it.
  explicit ClusterScan(const ClusterFacts& facts);

  // The next directory, file or tablespace link that belongs to the backup, nothing after the last.
  // Throws Error(kNotInPrerequisiteState) after the last when a tablespace is not there.
  [[nodiscard]] std::optional<ScannedEntry> Next();

  // At most kWarningLimit of them. Taking empties it.
  [[nodiscard]] std::vector<std::string> TakeWarnings();
  // Of every database directory listed so far.
  [[nodiscard]] KnownInitForks TakeKnownInitForks() { return std::move(init_forks_); }

  static constexpr size_t kWarningLimit = 1000;

 private:
  struct Level : WalkLevel {
    bool holds_relations = false;
    uint32_t database_oid = 0;
    InitForks init_forks;
  };

  void FindTablespacesInside();
  void Enter(const std::string& path);
  [[nodiscard]] std::optional<std::vector<DirectoryEntry>> ListNames(const std::string& path) const;
  [[nodiscard]] std::optional<ScannedEntry> Visit(const std::string& name);
  [[nodiscard]] std::optional<ScannedEntry> VisitDirectory(const std::string& name,
                                                           const struct stat& status);
  [[nodiscard]] std::optional<ScannedEntry> VisitFile(const std::string& name,
                                                      const struct stat& status);
  [[nodiscard]] std::optional<ScannedEntry> VisitLink(const std::string& name,
                                                      const struct stat& status);
  [[nodiscard]] std::optional<ScannedEntry> VisitTablespace(const std::string& name,
                                                            const struct stat& status);
  void Warn(std::string warning);
  void WarnSpecial(const std::string& path);

  const ClusterFacts& facts_;
  std::string resolved_data_directory_;
  std::set<std::string> tablespaces_inside_;      // relative to the resolved data directory
  std::set<std::string> linked_tablespaces_;      // pg_tblspc/<oid>, links only
  std::vector<std::string> missing_tablespaces_;  // pg_tblspc/<oid>: their links lead to none
  std::vector<Level> levels_;
  KnownInitForks init_forks_;
  std::vector<std::string> warnings_;
};

}  // namespace backup_ext
