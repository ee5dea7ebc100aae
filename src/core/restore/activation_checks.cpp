// May this stage become the server, and what would be done?
#include "restore/activation_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "cluster/control_file.h"
#include "restore/configuration.h"
#include "restore/mount_points.h"
#include "restore/running_server.h"
#include "restore/stage_marker.h"
#include "restore/tablespace_links.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

constexpr size_t kVersionLimitBytes = 64;

Error Refusal(ErrorCode code, const std::string& stage, std::string detail, std::string hint) {
  return Error(code, fmt::format("cannot activate the stage in \"{}\"", stage), std::move(detail),
               std::move(hint));
}

std::optional<ControlFile> ControlFileOf(const std::string& directory) {
  const std::string path = directory + "/global/pg_control";
  return StatLink(path) ? ReadControlFile(path) : std::nullopt;
}

std::string VersionOf(const std::string& directory) {
  const std::string path = directory + "/PG_VERSION";
  if (!StatLink(path)) return {};
  std::string text(AsText(ReadWholeFile(path, kVersionLimitBytes)));
  return text.substr(0, text.find('\n'));
}

StageMarker CheckIsStage(const std::string& stage) {
  const auto status = StatLink(stage);
  const auto marker = status ? ReadStageMarker(stage) : std::nullopt;
  if (!marker) {
    throw Refusal(ErrorCode::kInvalidArgument, stage, "There is no stage.",
                  "Name the directory of a stage, as backup_staged() or \"backup_ext restore\" "
                  "tell it.");
  }
  if (marker->role == StageRole::kReplaced) {
    throw Refusal(ErrorCode::kNotInPrerequisiteState, stage,
                  fmt::format("Stage {} was activated already: this is the data directory that it "
                              "replaced.",
                              marker->stage_id),
                  "To go back to it: backup_ext undo.");
  }
  // One that is being built has the pg_control of an earlier stage until that is removed.
  if (marker->building || !ControlFileOf(stage)) {
    throw Refusal(ErrorCode::kNotInPrerequisiteState, stage,
                  marker->building ? "It is not finished: a restore into it was begun."
                                   : "It is not finished: it has no pg_control that can be read.",
                  "Wait until the restore is done, or restore again.");
  }
  return *marker;
}

// True when there is something to replace.
bool CheckIsDataDirectory(const std::string& stage, const std::string& data) {
  const auto status = StatLink(data);
  if (!status) {
    const auto parent = StatFile(ParentDirectory(data));
    if (parent && S_ISDIR(parent->st_mode)) return false;
    throw Refusal(ErrorCode::kNotFound, stage,
                  fmt::format("Directory \"{}\" does not exist.", ParentDirectory(data)),
                  "Make the directory above the data directory first.");
  }
  const bool is_directory = S_ISDIR(status->st_mode);
  if (is_directory && ReadDirectory(data)->empty()) return false;
  if (is_directory && !VersionOf(data).empty()) return true;
  throw Refusal(ErrorCode::kInvalidArgument, stage,
                fmt::format("\"{}\" is not a data directory: it has no PG_VERSION.", data),
                "Name the data directory of the server that the stage shall take the place of, or "
                "a directory that is empty or does not exist.");
}

void CheckMountPoints(const std::string& stage, const std::string& data) {
  for (const std::string& directory : {data, stage}) {
    const auto place = MountPointIn(directory);
    if (!place) continue;
    throw Refusal(
        ErrorCode::kNotInPrerequisiteState, stage,
        *place == directory
            ? fmt::format("\"{}\" is a mount point: its name cannot be exchanged.", directory)
            : fmt::format("\"{}\" is mounted in it: it would go with the old directory until the "
                          "next mount, and then lie over the new one.",
                          *place),
        *place == directory
            ? "Mount the file system one level higher, with the data directory as a directory in "
              "it; then restore to a directory beside it."
            : "Stop the server, unmount it, and give the data directory a link to its new place "
              "instead.");
  }
  const std::string data_parent = ParentDirectory(data);
  const std::string stage_parent = ParentDirectory(stage);
  if (MountPointOf(data_parent) == MountPointOf(stage_parent) &&
      StatFile(data_parent)->st_dev == StatFile(stage_parent)->st_dev) {
    return;
  }
  throw Refusal(ErrorCode::kNotInPrerequisiteState, stage,
                fmt::format("It lies on another file system than \"{}\".", data),
                fmt::format("Restore again to a directory on the data directory's file system, for "
                            "example \"{}.restored\".",
                            data));
}

void CheckUser(const std::string& stage, const std::string& data, bool has_old) {
  const uid_t owner = StatLink(stage)->st_uid;
  if (has_old && StatLink(data)->st_uid != owner) {
    throw Refusal(ErrorCode::kPermissionDenied, stage,
                  fmt::format("It belongs to user id {}, the data directory to {}: the server "
                              "would not start on it.",
                              owner, StatLink(data)->st_uid),
                  "Change the owner of all of the stage, with chown -R -h.");
  }
  if (geteuid() != 0 && geteuid() != owner) {
    throw Refusal(ErrorCode::kPermissionDenied, stage,
                  fmt::format("It belongs to user id {}.", owner),
                  "Run this as that user, with sudo -u.");
  }
  for (const std::string& directory : {ParentDirectory(data), ParentDirectory(stage)}) {
    if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0) continue;
    const Error error = SystemError(fmt::format("write to directory \"{}\"", directory), errno);
    throw Error(error.code(), error.message(), "Names in it have to be exchanged.",
                "Run this as root, or let the server's user write there.");
  }
}

void CheckSameCluster(const std::string& stage, const std::string& data, OtherCluster other) {
  const std::string version = VersionOf(stage);
  if (version.empty()) {
    throw Refusal(ErrorCode::kNotInPrerequisiteState, stage,
                  "It is damaged: its PG_VERSION is missing or empty.", "Restore again.");
  }
  if (VersionOf(data) != version) {
    throw Refusal(ErrorCode::kInvalidArgument, stage,
                  fmt::format("It is of PostgreSQL {}, \"{}\" of PostgreSQL {}.", version, data,
                              VersionOf(data)),
                  "Name the data directory of a server of the same major version.");
  }
  const auto control = ControlFileOf(data);
  const auto own = ControlFileOf(stage);
  if (!control || control->system_identifier == own->system_identifier) return;
  if (other == OtherCluster::kReplace) return;
  throw Refusal(ErrorCode::kInvalidArgument, stage,
                fmt::format("\"{}\" is of another cluster: its system identifier is {}, the "
                            "stage's is {}.",
                            data, control->system_identifier, own->system_identifier),
                "Check the path. To replace it all the same, use --replace-other-cluster.");
}

// Links that lead to where the other tree's lead would make two servers of one set of files.
void CheckTablespaces(const std::string& stage, const std::string& data) {
  const auto old_links = ReadTablespaceLinks(data);
  for (const auto& [oid, target] : ReadTablespaceLinks(stage)) {
    const std::string place = ResolvePath(target);
    if (!StatFile(place)) {
      throw Refusal(
          ErrorCode::kNotInPrerequisiteState, stage,
          fmt::format("The directory of tablespace {}, \"{}\", does not exist.", oid, target),
          "Was the stage moved? Move it back, or restore again.");
    }
    for (const auto& [old_oid, old_target] : old_links) {
      const std::string old_place = ResolvePath(old_target);
      if (!IsInside(place, old_place) && !IsInside(old_place, place)) continue;
      throw Refusal(ErrorCode::kNotInPrerequisiteState, stage,
                    fmt::format("Its tablespace {} is in \"{}\", which the server in \"{}\" uses "
                                "for tablespace {}.",
                                oid, target, data, old_oid),
                    "Restore again, with tablespaces of its own.");
    }
  }
}

void PlanTablespaces(ActivationPlan* plan) {
  ActivationJournal& journal = plan->journal;
  const std::string from = TablespacesDirectory(journal.stage_directory);
  if (!StatLink(from)) return;
  const std::string to = fmt::format("{}.tablespaces-{}", journal.data_directory, journal.stage_id);
  if (StatLink(to)) {
    throw Refusal(ErrorCode::kAlreadyExists, journal.stage_directory,
                  fmt::format("\"{}\", where its tablespaces are to go, exists already.", to),
                  "Move it out of the way.");
  }
  if (MountPointIn(from) || StatFile(from)->st_dev != StatFile(ParentDirectory(to))->st_dev) {
    plan->notices.push_back(fmt::format(
        "The tablespaces stay in \"{}\": it lies on another file system. Do not remove it.", from));
    return;
  }
  journal.tablespaces_from = from;
  journal.tablespaces_to = to;
  plan->notices.push_back(fmt::format("The tablespaces will be in \"{}\".", to));
}

ConfigurationFate FateOfConfiguration(const std::string& stage, const std::string& data,
                                      bool has_old) {
  const auto note = ReadConfigurationNote(stage);
  if (!note || !note->generated || !has_old) return ConfigurationFate::kKeep;
  if (!note->original.empty()) return ConfigurationFate::kOriginal;
  return StatLink(data + "/postgresql.conf") ? ConfigurationFate::kKeep
                                             : ConfigurationFate::kRemove;
}

void NoticeWalLink(const std::string& data, ActivationPlan* plan) {
  const std::string path = data + "/pg_wal";
  const auto status = StatLink(path);
  if (!status || !S_ISLNK(status->st_mode)) return;
  plan->notices.push_back(fmt::format(
      "pg_wal of the server so far is a link to \"{}\" and stays with its directory. The "
      "new server has its WAL in its data directory; to move it, stop the server, move "
      "\"{}\" to a new directory there, and link to that.",
      ReadLink(path), path));
}

}  // namespace

uint64_t InodeOf(const std::string& directory) {
  const auto status = StatLink(directory);
  return status && S_ISDIR(status->st_mode) ? status->st_ino : 0;
}

std::string CleanActivationPath(const std::string& directory) {
  const std::string path = directory.empty() ? directory : ResolvePath(directory);
  if (path.empty() || path == "/") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is neither a stage nor a data directory", directory));
  }
  return path;
}

ActivationPlan PlanActivation(const std::string& stage_directory, const std::string& data_directory,
                              OtherCluster other_cluster, RunningServer running) {
  const StageMarker marker = CheckIsStage(stage_directory);
  if (IsInside(stage_directory, data_directory) || IsInside(data_directory, stage_directory)) {
    throw Refusal(ErrorCode::kInvalidArgument, stage_directory,
                  fmt::format("It is, lies in or contains \"{}\".", data_directory),
                  "Name a stage and the data directory of the server that it shall take the place "
                  "of.");
  }
  const bool has_old = CheckIsDataDirectory(stage_directory, data_directory);
  CheckMountPoints(stage_directory, data_directory);
  CheckUser(stage_directory, data_directory, has_old);
  if (running == RunningServer::kRefuse) {
    const std::string attempt = fmt::format("activate stage {}", marker.stage_id);
    CheckNotRunning(data_directory, attempt);
    CheckNotRunning(stage_directory, attempt);
  }
  if (has_old) {
    CheckSameCluster(stage_directory, data_directory, other_cluster);
    CheckTablespaces(stage_directory, data_directory);
  }

  ActivationPlan plan;
  plan.journal.stage_id = marker.stage_id;
  plan.journal.data_directory = data_directory;
  plan.journal.stage_directory = stage_directory;
  plan.journal.new_inode = InodeOf(stage_directory);
  plan.journal.old_inode = has_old ? InodeOf(data_directory) : 0;
  plan.journal.configuration = FateOfConfiguration(stage_directory, data_directory, has_old);
  plan.journal.began_at = Now();
  PlanTablespaces(&plan);
  if (has_old) NoticeWalLink(data_directory, &plan);
  return plan;
}

void CheckUndo(const ActivationJournal& journal) {
  const auto refuse = [&](std::string detail) {
    return Error(ErrorCode::kNotInPrerequisiteState,
                 fmt::format("cannot undo the activation of stage {}", journal.stage_id),
                 std::move(detail),
                 fmt::format("If the way back is not wanted any more, remove \"{}\".",
                             ActivationJournalPath(journal.data_directory)));
  };
  const std::string attempt = fmt::format("undo the activation of stage {}", journal.stage_id);
  CheckNotRunning(journal.data_directory, attempt);
  CheckNotRunning(journal.stage_directory, attempt);
  if (InodeOf(journal.data_directory) != journal.new_inode) {
    throw refuse(
        fmt::format("\"{}\" is not the directory that was activated.", journal.data_directory));
  }
  if (InodeOf(journal.stage_directory) != journal.old_inode) {
    throw refuse(journal.old_inode == 0
                     ? fmt::format("\"{}\" is taken.", journal.stage_directory)
                     : fmt::format("\"{}\" does not hold the directory that was replaced any more.",
                                   journal.stage_directory));
  }
  if (!journal.tablespaces_from.empty() && StatLink(journal.tablespaces_from)) {
    throw refuse(fmt::format("\"{}\" is taken.", journal.tablespaces_from));
  }
}

}  // namespace backup_ext
