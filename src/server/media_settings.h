// The settings of media: media_directories, media_on_schedule.
#pragma once

#include <string>
#include <vector>

#include "backup/media_directories.h"

namespace backup_ext {

struct Settings;

struct MediaSettings {
  std::vector<std::string> directories;  // absolute paths
  bool on_schedule = false;
};

// Called once from DefineSettings().
void DefineMediaSettings();
[[nodiscard]] MediaSettings CurrentMediaSettings();

// What no media directory may be, lie in or contain: the cluster, the repository, the stages.
[[nodiscard]] std::vector<ReservedDirectory> DirectoriesApartFromMedia(const Settings& settings);

}  // namespace backup_ext
