// What a backup without one of its tablespaces would look like: complete.
#include "backup/missing_tablespaces.h"

#include <fmt/core.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "cluster/relation_file.h"

namespace backup_ext {
namespace {

constexpr int kLooks = 20;

}  // namespace

bool HasTablespace(const ClusterFacts& facts, const std::string& path) {
  const auto target =
      StatFile(JoinPath(JoinPath(facts.data_directory, path), facts.version_directory));
  return target && S_ISDIR(target->st_mode);
}

void ThrowIfStillLinked(const ClusterFacts& facts, const std::string& path) {
  const auto link = ReadLinkIfExists(JoinPath(facts.data_directory, path));
  if (!link) return;
  throw Error(
      ErrorCode::kNotInPrerequisiteState,
      fmt::format("cannot back up tablespace {}: there is no tablespace in \"{}\"", BaseName(path),
                  *link),
      fmt::format("The link \"{}\" leads there, but there is no directory \"{}\". A backup "
                  "without it would not hold all data.",
                  path, JoinPath(*link, facts.version_directory)),
      "Check that its file system is mounted. A tablespace that is lost for good must be dropped; "
      "a link of none that pg_tablespace knows may be removed.");
}

void CheckTablespacesAreThere(const ClusterFacts& facts, const std::function<void()>& wait) {
  const std::string directory = "pg_tblspc";
  std::vector<std::string> missing;
  const auto entries = ReadDirectory(JoinPath(facts.data_directory, directory));
  if (!entries) return;
  for (const DirectoryEntry& entry : *entries) {
    std::string path = JoinPath(directory, entry.name);
    if (IsOid(entry.name) && !HasTablespace(facts, path)) missing.push_back(std::move(path));
  }
  for (int look = 0; look < kLooks; ++look) {
    std::erase_if(missing, [&](const std::string& path) { return HasTablespace(facts, path); });
    if (missing.empty()) return;
    wait();
  }
  for (const std::string& path : missing) ThrowIfStillLinked(facts, path);
}

}  // namespace backup_ext
