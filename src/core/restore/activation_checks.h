// May this stage become the server, and what would be done? Nothing is changed here.
#pragma once

#include <string>
#include <vector>

#include "restore/activation_journal.h"

namespace backup_ext {

enum class OtherCluster {
  kRefuse,
  kReplace,  // the data directory may be of another cluster: one that initdb has just made
};

struct ActivationPlan {
  ActivationJournal journal;
  std::vector<std::string> notices;  // full sentences: what the user should know before
};

enum class RunningServer {
  kRefuse,
  kAllow,  // it is a plan for later
};

// The name to exchange: absolute, every link resolved. Throws Error(kInvalidArgument).
[[nodiscard]] std::string CleanActivationPath(const std::string& directory);

// Both by CleanActivationPath(). Throws Error with a hint: kNotInPrerequisiteState (a server runs
// on either, one of them is or holds a mount point, they lie on different file systems, the stage
// is not finished), kInvalidArgument (not a stage, not a data directory, one within the other,
// another cluster or version), kPermissionDenied.
[[nodiscard]] ActivationPlan PlanActivation(const std::string& stage_directory,
                                            const std::string& data_directory,
                                            OtherCluster other_cluster,
                                            RunningServer running = RunningServer::kRefuse);

// Throws when the way back is not open: a server runs, or a directory is not the one it was.
void CheckUndo(const ActivationJournal& journal);

// The inode of a directory; 0 when it is not there.
[[nodiscard]] uint64_t InodeOf(const std::string& directory);

}  // namespace backup_ext
