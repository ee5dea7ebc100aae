// The lists of what stays out of a backup, and the walk over a path that applies them.
#include "cluster/contents.h"

#include <algorithm>
#include <array>

#include "cluster/cluster_memory.h"
#include "cluster/relation_file.h"

namespace backup_ext {
namespace {

// Remade or zeroed when a server starts; the directory itself must be there. pg_replslot: a slot
// restored elsewhere would hold back WAL there for a consumer that never comes.
constexpr std::array<std::string_view, 8> kEmptiedDirectories = {
    "pg_dynshmem",  "pg_notify",   "pg_replslot", "pg_serial",
    "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_wal"};

// backup_label and tablespace_map of another backup would make a restored server recover from the
// wrong place; a backup's own are added when it ends.
constexpr std::array<std::string_view, 8> kExcludedFiles = {".DS_Store",
                                                            "backup_label",
                                                            "backup_manifest",
                                                            "current_logfiles.tmp",
                                                            "postgresql.auto.conf.tmp",
                                                            "postmaster.opts",
                                                            "postmaster.pid",
                                                            "tablespace_map"};

constexpr std::string_view kTemporaryPrefix = "pgsql_tmp";
constexpr std::string_view kRelationCachePrefix = "pg_internal.init";

template <size_t n>
bool Contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

PathRule RuleForDirectory(std::string_view path) {
  if (path.empty()) return PathRule::kInclude;
  if (RuleForDirectory(ParentOf(path)) != PathRule::kInclude) return PathRule::kExclude;
  const std::string_view name = NameOf(path);
  if (name.starts_with(kTemporaryPrefix) || name == ".DS_Store") return PathRule::kExclude;
  if (path == kOwnStateDirectory) return PathRule::kExclude;
  return Contains(kEmptiedDirectories, path) ? PathRule::kEmptyDirectory : PathRule::kInclude;
}

PathRule RuleForFile(std::string_view path) {
  const std::string_view directory = ParentOf(path);
  if (RuleForDirectory(directory) != PathRule::kInclude) return PathRule::kExclude;
  const std::string_view name = NameOf(path);
  const bool excluded = path == "global/pg_control" || Contains(kExcludedFiles, name) ||
                        name.starts_with(kTemporaryPrefix) ||
                        name.starts_with(kRelationCachePrefix) || IsClusterMemoryFile(path) ||
                        (IsTemporaryRelationName(name) && IsDatabaseDirectory(directory));
  return excluded ? PathRule::kExclude : PathRule::kInclude;
}

std::vector<std::string> WalDirectoriesToMake(uint32_t server_version_num) {
  std::vector<std::string> directories = {"pg_wal", "pg_wal/archive_status"};
  if (server_version_num >= 170000) directories.emplace_back("pg_wal/summaries");
  return directories;
}

}  // namespace backup_ext
