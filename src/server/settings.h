// The settings `backup_ext.*`: defined once, checked when set, copied before threads see them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/retention.h"

#include "media_settings.h"
#include "schedule_settings.h"

namespace backup_ext {

// A copy of all settings at one moment: a reload frees the strings behind the originals.
struct Settings {
  std::string repository;  // empty: unset
  bool enabled = true;
  ScheduleSettings schedule;
  int compression_level = 1;
  int workers = 0;  // 0: picked by WorkerThreads()
  uint64_t max_bytes_per_second = 0;
  std::string staging_directory;  // empty: beside the data directory
  RetentionRules retention;
  Microseconds full_interval = 0;    // a full backup at least this often; 0: never
  Microseconds verify_interval = 0;  // 0: never
  MediaSettings media;
  std::string event_command;  // empty: none
};

// Called once from _PG_init. Never refuses to start the server.
void DefineSettings();

[[nodiscard]] Settings CurrentSettings();
// Of one run: the setting, or half of the processors, 1 to 8.
[[nodiscard]] int WorkerThreads(const Settings& settings);
// Where stages are built: the setting, or `<data directory>.staged`.
[[nodiscard]] std::string StagingDirectory(const Settings& settings);
// The data directory and the location of every tablespace: the cluster itself.
[[nodiscard]] std::vector<std::string> ClusterDirectories();
// Those and the media directories: where no repository and no stage may be.
[[nodiscard]] std::vector<std::string> DirectoriesToBackUp();
// The repository, or Error(kNotInPrerequisiteState) with a hint when it is not set.
[[nodiscard]] std::string RequireRepository(const Settings& settings);

}  // namespace backup_ext
