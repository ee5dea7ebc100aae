// The settings of media.
#include "media_settings.h"

#include "base/error.h"

#include "boundary.h"
#include "postgres_headers.h"
#include "setting_checks.h"
#include "settings.h"

namespace backup_ext {
namespace {

char* setting_media_directories = nullptr;
bool setting_media_on_schedule = false;

bool CheckMedia(char** new_value, void** /*extra*/, GucSource /*source*/) {
  const char* const value = *new_value;
  if (value == nullptr || value[0] == '\0') return true;
  PlainError error;
  const bool fine = RunCatchingAll(
      [&] {
        const std::vector<std::string> directories = ParseMediaDirectories(value);
        if (!SetByCommand()) return;
        CheckMediaDirectories(directories, DirectoriesApartFromMedia(CurrentSettings()));
      },
      &error);
  return fine || RefuseSetting(error);
}

}  // namespace

void DefineMediaSettings() {
  DefineCustomStringVariable(
      "backup_ext.media_directories",
      "Directories outside the data directory that belong to the application.",
      "Absolute paths with commas between them.", &setting_media_directories, "", PGC_SIGHUP,
      GUC_LIST_INPUT | GUC_SUPERUSER_ONLY, CheckMedia, nullptr, nullptr);
  DefineCustomBoolVariable(
      "backup_ext.media_on_schedule", "Includes the media directories in automatic backups.",
      nullptr, &setting_media_on_schedule, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

MediaSettings CurrentMediaSettings() {
  MediaSettings settings;
  if (setting_media_directories != nullptr) {
    settings.directories = ParseMediaDirectories(setting_media_directories);
  }
  settings.on_schedule = setting_media_on_schedule;
  return settings;
}

std::vector<ReservedDirectory> DirectoriesApartFromMedia(const Settings& settings) {
  std::vector<ReservedDirectory> reserved;
  for (std::string& directory : ClusterDirectories()) {
    reserved.push_back({std::move(directory), "the data directory and its tablespaces"});
  }
  if (!settings.repository.empty()) reserved.push_back({settings.repository, "the repository"});
  reserved.push_back({StagingDirectory(settings), "the staging directory"});
  return reserved;
}

}  // namespace backup_ext
