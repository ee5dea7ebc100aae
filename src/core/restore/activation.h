// A stage takes the place of a data directory, and the way back.
//
// Everything inside the stage is made ready first; then one exchange of two names is the switch.
// Before it the old data directory is in place, untouched; after it the new one, ready to start.
// Tablespaces come along by their links. A crash at any moment leaves one of the two in place, and
// the next call finishes what was begun, or rolls it back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "restore/activation_checks.h"

namespace backup_ext {

struct ActivationRequest {
  std::string stage_directory;
  std::string data_directory;
  OtherCluster other_cluster = OtherCluster::kRefuse;
  // For tests: called after each step, with its name.
  std::function<void(std::string_view)> step_done;
};

struct ActivationReport {
  std::string stage_id;
  std::string data_directory;
  // Where the other tree is now: of an activation the replaced one, of an undo the stage. Empty
  // when there is none.
  std::string other_directory;
  std::vector<std::string> notices;
};

// What Activate() would do; throws what it would throw. Changes nothing.
[[nodiscard]] ActivationReport CheckActivation(const ActivationRequest& request);

// Throws what PlanActivation() throws, Error(kLocked) while another call works on this data
// directory, and any Error of the operating system: then the old data directory is in place, and
// the stage is a stage.
[[nodiscard]] ActivationReport Activate(const ActivationRequest& request);

[[nodiscard]] ActivationReport CheckUndoActivation(const std::string& data_directory);
// Throws Error(kNotFound) when there is nothing to undo. What was written since the activation is
// kept: in the stage's directory, a stage again.
[[nodiscard]] ActivationReport UndoActivation(
    const std::string& data_directory, const std::function<void(std::string_view)>& step_done = {});

// Finishes or rolls back what an earlier call left in the middle, or the first start of an
// activated stage, and says which. Nothing when there is nothing of that kind.
std::optional<std::string> FinishInterrupted(const std::string& data_directory);
// What it would do. Changes nothing.
[[nodiscard]] std::optional<std::string> CheckInterrupted(const std::string& data_directory);

// Marks a stage for the next start of a server that may be running now; the same for the stage.
// Throws what PlanActivation() throws otherwise.
[[nodiscard]] ActivationReport MarkForNextStart(const ActivationRequest& request);
// Changes nothing.
[[nodiscard]] ActivationReport CheckForNextStart(const ActivationRequest& request);

}  // namespace backup_ext
