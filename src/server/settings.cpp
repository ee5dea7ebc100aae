// The settings `backup_ext.*`.
#include "settings.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "policy/duration.h"
#include "store/repository.h"

#include "boundary.h"
#include "postgres_headers.h"
#include "setting_checks.h"

namespace backup_ext {
namespace {

char* setting_repository = nullptr;
char* setting_staging_directory = nullptr;
bool setting_enabled = true;
char* setting_verify_interval = nullptr;
int setting_compression_level = 1;
int setting_workers = 0;
double setting_max_rate = 0;
char* setting_retention = nullptr;
int setting_retention_keep = 1;
char* setting_full_interval = nullptr;
char* setting_event_command = nullptr;

constexpr const char* kDefaultRetention = "3 days";
constexpr const char* kDefaultFullInterval = "7 days";

// Whether the path leads there cannot be told where a directory on the way is closed to us:
// CheckLocation() names that one.
bool IsInDataDirectory(const char* path) {
  try {
    return IsInside(ResolvePath(path), ResolvePath(DataDir));
  } catch (const Error&) {
    return false;
  }
}

bool CheckRepository(char** new_value, void** /*extra*/, GucSource /*source*/) {
  const char* const value = *new_value;
  if (value == nullptr || value[0] == '\0') return true;
  PlainError error;
  const bool fine = RunCatchingAll(
      [&] {
        const std::string problem = CheckLocationText(value);
        if (!problem.empty()) {
          throw Error(ErrorCode::kInvalidArgument, problem, {},
                      "Use an absolute path such as /var/lib/postgresql/backups.");
        }
        if (!SetByCommand()) return;
        if (IsInDataDirectory(value)) {
          throw Error(
              ErrorCode::kInvalidArgument, "repository must not be inside the data directory", {},
              "Choose a directory on another disk, or at least outside the data directory.");
        }
        CheckLocation(value, DirectoriesToBackUp());
      },
      &error);
  return fine || RefuseSetting(error);
}

bool CheckStagingDirectory(char** new_value, void** /*extra*/, GucSource /*source*/) {
  const char* const value = *new_value;
  if (value == nullptr || value[0] == '\0') return true;
  PlainError error;
  const bool fine = RunCatchingAll(
      [&] {
        if (value[0] != '/') {
          throw Error(ErrorCode::kInvalidArgument, "staging directory must be an absolute path", {},
                      "Leave it empty for a directory beside the data directory.");
        }
        if (!SetByCommand()) return;
        const std::string resolved = ResolvePath(value);
        for (const std::string& directory : DirectoriesToBackUp()) {
          if (IsInside(resolved, ResolvePath(directory))) {
            throw Error(ErrorCode::kInvalidArgument,
                        "staging directory must not be inside the cluster's own directories",
                        "The running server's files are in \"" + directory + "\".",
                        "Choose a directory outside the data directory and every tablespace.");
          }
        }
        if (!StatFile(ParentDirectory(resolved))) {
          throw Error(ErrorCode::kInvalidArgument,
                      "directory \"" + ParentDirectory(resolved) + "\" does not exist", {},
                      "Make it first; only the last part of the path is made by itself.");
        }
      },
      &error);
  return fine || RefuseSetting(error);
}

void CheckDuration(const char* name, const char* value, bool zero_allowed) {
  DurationText text = ParseDuration(value);
  if (text.valid && text.length == 0 && !zero_allowed) {
    text = {false, 0, "it must be longer than nothing"};
  }
  if (text.valid) return;
  throw Error(ErrorCode::kInvalidArgument,
              "invalid " + std::string(name) + " \"" + value + "\": " + text.problem, {},
              "Write whole numbers with units from seconds to weeks, for example '3 days' or '12 "
              "hours'.");
}

bool CheckRetention(char** new_value, void** /*extra*/, GucSource /*source*/) {
  PlainError error;
  const bool fine = RunCatchingAll([&] { CheckDuration("retention", *new_value, false); }, &error);
  return fine || RefuseSetting(error);
}

bool CheckFullInterval(char** new_value, void** /*extra*/, GucSource /*source*/) {
  PlainError error;
  const bool fine =
      RunCatchingAll([&] { CheckDuration("full_interval", *new_value, true); }, &error);
  return fine || RefuseSetting(error);
}

bool CheckVerifyInterval(char** new_value, void** /*extra*/, GucSource /*source*/) {
  PlainError error;
  const bool fine =
      RunCatchingAll([&] { CheckDuration("verify_interval", *new_value, true); }, &error);
  return fine || RefuseSetting(error);
}

// What was checked when it was set.
Microseconds DurationOf(const char* setting, const char* if_unset) {
  return ParseDuration(setting != nullptr ? setting : if_unset).length;
}

void DefineDirectories() {
  DefineCustomStringVariable(
      "backup_ext.repository", "Directory where backups are kept.",
      "Must lie outside the data directory; made when only its last part is missing.",
      &setting_repository, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, CheckRepository, nullptr, nullptr);
  DefineCustomStringVariable(
      "backup_ext.staging_directory", "Directory where staged restores are built.",
      "Empty means beside the data directory.", &setting_staging_directory, "", PGC_SIGHUP,
      GUC_SUPERUSER_ONLY, CheckStagingDirectory, nullptr, nullptr);
}

void DefineSchedule() {
  DefineCustomBoolVariable("backup_ext.enabled", "Takes backups by itself.",
                           "Manual backups always work.", &setting_enabled, true, PGC_SIGHUP, 0,
                           nullptr, nullptr, nullptr);
  DefineScheduleSettings();
}

void DefineRetention() {
  DefineCustomStringVariable("backup_ext.retention", "How long backups are kept.",
                             "Counted back from the newest good backup, which itself stays.",
                             &setting_retention, kDefaultRetention, PGC_SIGHUP, 0, CheckRetention,
                             nullptr, nullptr);
  DefineCustomIntVariable(
      "backup_ext.retention_keep", "Good backups that are kept however old they are.", nullptr,
      &setting_retention_keep, 1, 1, 10000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("backup_ext.full_interval",
                             "A fresh full backup is taken at least this often.", "0 is never.",
                             &setting_full_interval, kDefaultFullInterval, PGC_SIGHUP, 0,
                             CheckFullInterval, nullptr, nullptr);
}

void DefineVerify() {
  DefineCustomStringVariable("backup_ext.verify_interval",
                             "How often the newest backup is read back and checked.",
                             "Like 7 days; 0 is never.", &setting_verify_interval, "0", PGC_SIGHUP,
                             0, CheckVerifyInterval, nullptr, nullptr);
}

void DefineEvents() {
  DefineCustomStringVariable(
      "backup_ext.event_command", "Shell command that is run after each job.",
      "Gets the event as JSON on its standard input.", &setting_event_command, "", PGC_SIGHUP,
      GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
}

void DefineEffort() {
  DefineCustomIntVariable("backup_ext.compression_level", "zstd level of new backups.", nullptr,
                          &setting_compression_level, 1, 1, 19, PGC_SIGHUP, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("backup_ext.workers", "Threads of one backup or restore.",
                          "0 picks from the machine.", &setting_workers, 0, 0, 64, PGC_SIGHUP, 0,
                          nullptr, nullptr, nullptr);
  DefineCustomRealVariable("backup_ext.max_rate",
                           "Bytes a second that a backup may read from the cluster.",
                           "0 is unlimited. Restores are never slowed down.", &setting_max_rate, 0,
                           0, 1e15, PGC_SIGHUP, GUC_UNIT_BYTE, nullptr, nullptr, nullptr);
}

}  // namespace

// True while a person sets the value (ALTER SYSTEM). At server start, at a reload and in the other
// processes only the text is judged: a file system that is not mounted yet must not lose the
// setting nor stop the server; backup_check() and the next backup speak of it. A parallel worker
// takes over its leader's settings inside a transaction: what is refused there fails the query. A
// session that is idle in a transaction reloads inside it, but runs no portal.
bool SetByCommand() {
  return IsUnderPostmaster && IsTransactionState() && ActivePortal != nullptr &&
         !IsParallelWorker();
}

// Fits ErrorData's rules: detail is a full sentence.
bool RefuseSetting(const PlainError& error) {
  GUC_check_errmsg("%s", error.message);
  if (error.detail[0] != '\0') GUC_check_errdetail("%s", error.detail);
  if (error.hint[0] != '\0') GUC_check_errhint("%s", error.hint);
  return false;
}

void DefineSettings() {
  DefineDirectories();
  DefineSchedule();
  DefineRetention();
  DefineVerify();
  DefineEffort();
  DefineEvents();
  DefineMediaSettings();
  MarkGUCPrefixReserved("backup_ext");
}

Settings CurrentSettings() {
  Settings settings;
  if (setting_repository != nullptr) settings.repository = setting_repository;
  if (setting_staging_directory != nullptr) settings.staging_directory = setting_staging_directory;
  settings.enabled = setting_enabled;
  settings.schedule = CurrentScheduleSettings();
  settings.verify_interval = DurationOf(setting_verify_interval, "0");
  settings.compression_level = setting_compression_level;
  settings.workers = setting_workers;
  settings.max_bytes_per_second = static_cast<uint64_t>(setting_max_rate);
  settings.retention = {.retention = DurationOf(setting_retention, kDefaultRetention),
                        .keep = setting_retention_keep};
  settings.full_interval = DurationOf(setting_full_interval, kDefaultFullInterval);
  settings.media = CurrentMediaSettings();
  if (setting_event_command != nullptr) settings.event_command = setting_event_command;
  return settings;
}

int WorkerThreads(const Settings& settings) {
  if (settings.workers > 0) return settings.workers;
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp((processors + 1) / 2, 1, 8);
}

std::string StagingDirectory(const Settings& settings) {
  if (!settings.staging_directory.empty()) return settings.staging_directory;
  return ResolvePath(DataDir) + ".staged";
}

std::vector<std::string> ClusterDirectories() {
  std::vector<std::string> directories = {DataDir};
  const std::string links = JoinPath(DataDir, "pg_tblspc");
  const auto entries = ReadDirectory(links);
  if (!entries) return directories;
  for (const DirectoryEntry& entry : *entries) {
    const std::string path = JoinPath(links, entry.name);
    if (StatFile(path)) directories.push_back(ResolvePath(path));
  }
  return directories;
}

std::vector<std::string> DirectoriesToBackUp() {
  std::vector<std::string> directories = ClusterDirectories();
  for (std::string& directory : CurrentMediaSettings().directories) {
    directories.push_back(std::move(directory));
  }
  return directories;
}

std::string RequireRepository(const Settings& settings) {
  if (!settings.repository.empty()) return settings.repository;
  throw Error(ErrorCode::kNotInPrerequisiteState, "no repository is set", {},
              "Set one with ALTER SYSTEM SET backup_ext.repository = '/path/to/backups', then "
              "SELECT pg_reload_conf().");
}

}  // namespace backup_ext
