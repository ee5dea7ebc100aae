// The walk, and what each kind of thing on the way means.
#include "backup/cluster_scan.h"

#include <dirent.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "backup/missing_tablespaces.h"
#include "base/error.h"
#include "cluster/contents.h"

namespace backup_ext {
namespace {

constexpr std::string_view kTablespaces = "pg_tblspc";
constexpr std::string_view kWal = "pg_wal";

// Places without which a restored server lacks data, or does not start.
bool MustNotBeLink(std::string_view path, bool in_relation_directory) {
  constexpr std::array<std::string_view, 10> kNeeded = {
      "base",      "global",      "pg_commit_ts",         "pg_logical",           "pg_multixact",
      "pg_tblspc", "pg_twophase", "pg_multixact/members", "pg_multixact/offsets", "pg_xact"};
  if (std::ranges::find(kNeeded, path) != kNeeded.end()) return true;
  if (IsDatabaseDirectory(path)) return true;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name == "PG_VERSION" ||
         (in_relation_directory && (name == "pg_filenode.map" || ParseRelationFileName(name)));
}

std::optional<struct stat> StatFileIfReachable(const std::string& path) {
  try {
    return StatFile(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

FileKind KindOf(const std::optional<RelationFileName>& relation) {
  if (!relation) return FileKind::kOther;
  switch (relation->fork) {
    case Fork::kMain:
      return FileKind::kRelation;
    case Fork::kFreeSpaceMap:
      return FileKind::kFreeSpaceMap;
    case Fork::kVisibilityMap:
      return FileKind::kVisibilityMap;
    case Fork::kInit:
      return FileKind::kInitFork;
  }
  return FileKind::kOther;
}

ScannedEntry MakeEntry(EntryKind kind, std::string path, const struct stat& status) {
  ScannedEntry scanned;
  scanned.entry.kind = kind;
  scanned.entry.path = std::move(path);
  SetAttributes(status, Now(), &scanned.entry);
  return scanned;
}

}  // namespace

ClusterScan::ClusterScan(const ClusterFacts& facts)
    : facts_(facts), resolved_data_directory_(ResolvePath(facts.data_directory)) {
  FindTablespacesInside();
  if (!StatFile(facts_.data_directory)) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("data directory \"{}\" does not exist", facts_.data_directory));
  }
  Enter("");
}

// A tablespace that lies inside the data directory is copied under pg_tblspc, not twice.
void ClusterScan::FindTablespacesInside() {
  const std::string directory = JoinPath(facts_.data_directory, kTablespaces);
  const auto names = ReadDirectory(directory);
  if (!names) return;
  for (const DirectoryEntry& name : *names) {
    const std::string link = JoinPath(directory, name.name);
    const auto status = StatLink(link);
    if (!status || !S_ISLNK(status->st_mode)) continue;
    const std::string target = ResolvePath(link);
    if (target == resolved_data_directory_ || !IsInside(target, resolved_data_directory_)) continue;
    const size_t prefix = resolved_data_directory_ == "/" ? 1 : resolved_data_directory_.size() + 1;
    tablespaces_inside_.insert(target.substr(prefix));
  }
}

std::optional<ScannedEntry> ClusterScan::Next() {
  while (!levels_.empty()) {
    std::string name;
    switch (NextStep(&levels_.back(), &name)) {
      case WalkStep::kVisit:
        if (auto scanned = Visit(name)) return scanned;
        break;
      case WalkStep::kEnter:
        Enter(JoinPath(levels_.back().path, name));
        break;
      case WalkStep::kLeave:
        levels_.pop_back();
        break;
    }
  }
  for (const std::string& path : missing_tablespaces_) ThrowIfStillLinked(facts_, path);
  return std::nullopt;
}

void ClusterScan::Enter(const std::string& path) {
  auto names = ListNames(path);
  if (!names) return;
  Level level;
  level.path = path;
  level.names = *std::move(names);
  level.holds_relations = IsRelationDirectory(path);
  if (IsDatabaseDirectory(path)) {
    level.database_oid = DatabaseOfDirectory(path);
    level.init_forks = FindInitForks(level.names);
    init_forks_[path] = level.init_forks;
  }
  levels_.push_back(std::move(level));
}

std::optional<std::vector<DirectoryEntry>> ClusterScan::ListNames(const std::string& path) const {
  if (path == kWal) {
    return std::vector<DirectoryEntry>{{"archive_status", DT_UNKNOWN}, {"summaries", DT_UNKNOWN}};
  }
  // Other versions may keep their files in the same location.
  if (linked_tablespaces_.contains(path)) {
    return std::vector<DirectoryEntry>{{facts_.version_directory, DT_UNKNOWN}};
  }
  return ReadDirectory(JoinPath(facts_.data_directory, path));
}

std::optional<ScannedEntry> ClusterScan::Visit(const std::string& name) {
  const std::string path = JoinPath(levels_.back().path, name);
  const auto status = StatLink(JoinPath(facts_.data_directory, path));
  if (!status) return std::nullopt;
  if (S_ISDIR(status->st_mode)) return VisitDirectory(name, *status);
  if (S_ISLNK(status->st_mode)) return VisitLink(name, *status);
  if (S_ISREG(status->st_mode)) return VisitFile(name, *status);
  if (RuleForFile(path) == PathRule::kInclude) WarnSpecial(path);
  return std::nullopt;
}

std::optional<ScannedEntry> ClusterScan::VisitDirectory(const std::string& name,
                                                        const struct stat& status) {
  Level& level = levels_.back();
  std::string path = JoinPath(level.path, name);
  if (level.path != kWal) {
    const PathRule rule = RuleForDirectory(path);
    if (rule == PathRule::kExclude) return std::nullopt;
    const bool is_walked = rule == PathRule::kInclude && !tablespaces_inside_.contains(path);
    if (is_walked || path == kWal) level.descents.insert(name + "/");
  }
  return MakeEntry(EntryKind::kDirectory, std::move(path), status);
}

std::optional<ScannedEntry> ClusterScan::VisitFile(const std::string& name,
                                                   const struct stat& status) {
  const Level& level = levels_.back();
  std::string path = JoinPath(level.path, name);
  if (RuleForFile(path) != PathRule::kInclude) return std::nullopt;
  std::optional<RelationFileName> relation;
  if (level.holds_relations) relation = ParseRelationFileName(name);
  if (relation && IsExcludedAsUnlogged(level.init_forks, *relation)) return std::nullopt;
  ScannedEntry scanned = MakeEntry(EntryKind::kFile, std::move(path), status);
  scanned.entry.file_kind = KindOf(relation);
  scanned.relation = relation;
  scanned.database_oid = level.database_oid;
  scanned.is_relation_map = level.holds_relations && name == "pg_filenode.map";
  return scanned;
}

std::optional<ScannedEntry> ClusterScan::VisitLink(const std::string& name,
                                                   const struct stat& status) {
  Level& level = levels_.back();
  std::string path = JoinPath(level.path, name);
  const std::string disk_path = JoinPath(facts_.data_directory, path);
  // pg_wal on another disk comes back as a directory.
  if (level.path == kWal || RuleForDirectory(path) == PathRule::kEmptyDirectory) {
    const auto target = StatFileIfReachable(disk_path);
    const bool is_directory = target && S_ISDIR(target->st_mode);
    ScannedEntry scanned = MakeEntry(EntryKind::kDirectory, path, is_directory ? *target : status);
    if (!is_directory) scanned.entry.mode = 0700;
    if (path == kWal) level.descents.insert(name + "/");
    return scanned;
  }
  if (level.path == kTablespaces && IsOid(name)) return VisitTablespace(name, status);
  if (RuleForFile(path) != PathRule::kInclude) return std::nullopt;
  if (level.path.empty() && name.ends_with(".conf")) {
    const auto target = StatFileIfReachable(disk_path);
    if (target && S_ISREG(target->st_mode)) {
      ScannedEntry scanned = MakeEntry(EntryKind::kFile, std::move(path), *target);
      scanned.follows_link = true;
      return scanned;
    }
  }
  if (MustNotBeLink(path, level.holds_relations)) {
    throw Error(ErrorCode::kNotInPrerequisiteState,
                fmt::format("cannot back up symbolic link \"{}\"", path),
                "A backup without what it leads to could not be restored.",
                "Put the file or directory back in its place, or use a tablespace.");
  }
  WarnSpecial(path);
  return std::nullopt;
}

std::optional<ScannedEntry> ClusterScan::VisitTablespace(const std::string& name,
                                                         const struct stat& status) {
  std::string path = JoinPath(kTablespaces, name);
  const std::string disk_path = JoinPath(facts_.data_directory, path);
  const auto link = ReadLinkIfExists(disk_path);
  if (!link) return std::nullopt;
  if (!HasTablespace(facts_, path)) {
    missing_tablespaces_.push_back(std::move(path));
    return std::nullopt;
  }
  ScannedEntry scanned = MakeEntry(EntryKind::kTablespaceLink, path, status);
  scanned.entry.link_target =
      link->starts_with('/')
          ? *link
          : ResolvePath(JoinPath(JoinPath(facts_.data_directory, kTablespaces), *link));
  levels_.back().descents.insert(name + "/");
  linked_tablespaces_.insert(std::move(path));
  return scanned;
}

std::vector<std::string> ClusterScan::TakeWarnings() { return std::exchange(warnings_, {}); }

void ClusterScan::Warn(std::string warning) {
  if (warnings_.size() < kWarningLimit) warnings_.push_back(std::move(warning));
}

void ClusterScan::WarnSpecial(const std::string& path) {
  Warn(fmt::format("skipping special file \"{}\"", path));
}

}  // namespace backup_ext
