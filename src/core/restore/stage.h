// The stages that exist: one small JSON file each in the staging directory.
//
// `<staging_directory>/<stage_id>.json` says what a stage is and where; by default the stage itself
// is `<staging_directory>/<stage_id>/`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace backup_ext {

struct Stage {
  std::string stage_id;
  std::string directory;
  std::string backup_id;
  std::string target;  // what was asked for: "latest", an id
  std::string state;   // "building", "ready", "failed"; ListStages() turns a building one whose
                      // builder is dead into "failed", and a ready one that is gone, or whose place
                      // another stage took, into "missing", or, where its place holds what it
                      // replaced, into "activated"
  Microseconds staged_at = 0;
  uint64_t bytes = 0;
  std::string safety_backup_id;
  std::string start_command;
  std::string activate_command;
  // As the restore was asked for, to continue it.
  bool include_media = false;
  std::string tablespace_map;      // JSON as ParseTablespaceMap() reads it; empty: none
  int64_t builder_pid = 0;         // of a building one
  std::string builder_started_at;  // start time of that process, from /proc: a pid is used again
};

// When the process began, from /proc/<pid>/stat: with the pid it names one process for ever. Empty
// when there is no such process.
[[nodiscard]] std::string ProcessStartTime(int64_t pid);

// Writes or replaces the description, durably. Makes the last part of a missing directory.
void WriteStage(const std::string& staging_directory, const Stage& stage);
// Removes the descriptions of those whose directory is that of `stage` by now.
void ForgetReplacedStages(const std::string& staging_directory, const Stage& stage);
// Newest first. An unreadable description is listed with state "failed".
[[nodiscard]] std::vector<Stage> ListStages(const std::string& staging_directory);
// Throws Error(kNotFound) with a hint; Error(kInvalidArgument) for text that is no stage id.
[[nodiscard]] Stage FindStage(const std::string& staging_directory, std::string_view stage_id);
// Removes the directory, its tablespaces and the description. Refuses (kNotInPrerequisiteState)
// while a server runs there (postmaster.pid of a live process) or while it is being built, and a
// directory that does not carry this stage's marker. Where another stage took its place, only the
// description goes.
void DiscardStage(const std::string& staging_directory, std::string_view stage_id);

}  // namespace backup_ext
