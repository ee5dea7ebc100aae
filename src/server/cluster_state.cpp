// The memory of the data directory, as the server uses it.
#include "cluster_state.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "cluster/control_file.h"
#include "format/names.h"
#include "restore/stage_marker.h"

#include "guard.h"
#include "postgres_headers.h"

namespace backup_ext {
namespace {

uint64_t OwnSystemIdentifier() {
  uint64_t identifier = 0;
  CallPostgresUninterrupted([&] { identifier = GetSystemIdentifier(); });
  return identifier;
}

void Warn(const std::string& message, const std::string& detail, const std::string& hint) {
  const char* const text = message.c_str();
  const char* const more = detail.c_str();
  const char* const advice = hint.c_str();
  CallPostgresUninterrupted([&] {
    ereport(WARNING, (errmsg_internal("%s", text), more[0] ? errdetail_internal("%s", more) : 0,
                      advice[0] ? errhint("%s", advice) : 0));
  });
}

// Of interrupted backups too.
std::set<std::string> BackupsIn(const Repository& repository) {
  std::set<std::string> ids;
  for (const std::string_view prefix : {kBackupsPrefix, kPacksPrefix}) {
    for (std::string& name : repository.store().ListNames(std::string(prefix))) {
      ids.insert(std::move(name));
    }
  }
  return ids;
}

// True when `memory` was changed.
bool ForgetUnproved(ClusterMemory* memory) {
  const auto control = ReadControlFile(JoinPath(DataDir, XLOG_CONTROL_FILE));
  const ClusterMemory before = *memory;
  if (!control || !WasShutDown(*control)) memory->boot_backup_ids.clear();
  if (!XLogIsNeeded()) {
    memory->backup_ids.clear();
    memory->boot_backup_ids.clear();
  }
  return *memory != before;
}

}  // namespace

std::optional<ClusterMemory> ReadOwnMemory(std::string* problem) {
  std::optional<ClusterMemory> memory = ReadClusterMemory(DataDir, problem);
  if (!memory || memory->system_identifier == OwnSystemIdentifier()) return memory;
  *problem =
      fmt::format("file \"{}\" in the data directory is of another cluster", kClusterMemoryFile);
  return std::nullopt;
}

std::set<std::string> RememberedBackups(const Repository& repository) {
  std::string problem;
  const std::optional<ClusterMemory> memory = ReadOwnMemory(&problem);
  if (!memory || memory->repository_created_at != repository.identity().created_at) return {};
  return {memory->backup_ids.begin(), memory->backup_ids.end()};
}

bool Remembers(const std::optional<ClusterMemory>& memory, const std::string& location) {
  if (!memory || memory->repository.empty()) return false;
  return memory->repository == location || ResolvePath(memory->repository) == ResolvePath(location);
}

void ThrowIfRepositoryIsMissed(const std::string& location) {
  std::string problem;
  const std::optional<ClusterMemory> memory = ReadOwnMemory(&problem);
  if (!Remembers(memory, location)) return;
  throw Error(
      ErrorCode::kNoRepository, fmt::format("repository \"{}\" is not there any more", location),
      fmt::format("The last backup of this server went to the repository made there at {}.",
                  FormatTime(memory->repository_created_at)),
      fmt::format(
          "Check that its file system is mounted. If the repository was removed on purpose, "
          "remove file \"{}\" from the data directory, or set backup_ext.repository to "
          "another directory.",
          kClusterMemoryFile));
}

void RequireOwner(const Repository& repository) {
  const std::optional<StageMarker> marker = ReadStageMarker(DataDir);
  if (!marker) return;
  const Microseconds origin = marker->repository_created_at;
  if (origin != 0 && origin != repository.identity().created_at) return;
  const bool is_replaced = marker->role == StageRole::kReplaced;
  throw Error(
      ErrorCode::kNotInPrerequisiteState,
      fmt::format("cannot write to repository \"{}\" from {}", repository.location(),
                  is_replaced ? "a data directory that was replaced" : "a staged copy"),
      is_replaced
          ? fmt::format("Stage {} was activated in the place of data directory \"{}\".",
                        marker->stage_id, DataDir)
          : fmt::format(
                "Data directory \"{}\" is stage {}, of backup {}: the repository belongs to "
                "the server that it is a copy of.",
                DataDir, marker->stage_id, marker->backup_id),
      is_replaced ? "Put it back with \"backup_ext undo\", or set backup_ext.repository to a "
                    "repository of its own and remove \"backup_ext_stage\"."
                  : "Make it the server with \"backup_ext activate\", or set backup_ext.repository "
                    "to another directory.");
}

Repository OpenRepositoryOfBackup(const std::string& location) {
  std::string problem;
  const std::optional<ClusterMemory> memory = ReadOwnMemory(&problem);
  if (!problem.empty()) Warn(problem, {}, {});
  const RepositoryOwner owner = {.system_identifier = OwnSystemIdentifier()};
  // Not a look first and then OpenOrCreate(): its file system may go in between.
  try {
    Repository repository = Repository::Open(location);
    repository.CheckOwner(owner.system_identifier);
    RequireOwner(repository);
    if (Remembers(memory, location) &&
        memory->repository_created_at != repository.identity().created_at) {
      Warn(fmt::format("repository \"{}\" is another than at the last backup", location),
           fmt::format("It was made at {}, the one of the last backup at {}.",
                       FormatTime(repository.identity().created_at),
                       FormatTime(memory->repository_created_at)),
           "Check that the right file system is mounted.");
    }
    return repository;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoRepository) throw;
  }
  ThrowIfRepositoryIsMissed(location);
  return Repository::OpenOrCreate(location, owner);
}

void ForgetAtServerStart() noexcept {
  try {
    std::string problem;
    std::optional<ClusterMemory> memory = ReadClusterMemory(DataDir, &problem);
    if (!memory || !ForgetUnproved(&*memory)) return;
    try {
      WriteClusterMemory(DataDir, *memory);
    } catch (const Error&) {
      // Without room for another one there must be none: that costs a full backup.
      RemoveFile(JoinPath(DataDir, std::string(kClusterMemoryFile)));
    }
  } catch (const std::exception&) {
    // Not there or not readable: a backup finds that out, too.
  }
}

void RememberBackup(const Repository& repository, const std::string& backup_id) {
  try {
    std::string problem;
    std::optional<ClusterMemory> memory = ReadOwnMemory(&problem);
    const std::set<std::string> present = BackupsIn(repository);
    ClusterMemory next;
    next.system_identifier = OwnSystemIdentifier();
    next.repository = repository.location();
    next.repository_created_at = repository.identity().created_at;
    if (memory) {
      next.backup_ids = std::move(memory->backup_ids);
      next.boot_backup_ids = std::move(memory->boot_backup_ids);
      const auto is_gone = [&](const std::string& id) {
        return id == backup_id || !present.contains(id);
      };
      std::erase_if(next.backup_ids, is_gone);
      std::erase_if(next.boot_backup_ids, is_gone);
    }
    next.boot_id = BootId();
    if (!memory || memory->boot_id != next.boot_id) next.boot_backup_ids.clear();
    next.backup_ids.push_back(backup_id);
    next.boot_backup_ids.push_back(backup_id);
    WriteClusterMemory(DataDir, next);
  } catch (const Error& error) {
    Warn(fmt::format("could not remember backup {} in the data directory: {}", backup_id,
                     error.message()),
         "The backup itself is good.", error.hint());
  }
}

}  // namespace backup_ext
