// SQL: backup_check, one row for every precondition and every overdue promise.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/finish.h"
#include "backup/media_directories.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "expire/expiry.h"
#include "policy/duration.h"
#include "restore/stage.h"
#include "store/catalog.h"
#include "store/notes.h"
#include "store/repository.h"

#include "boundary.h"
#include "cluster_state.h"
#include "function_arguments.h"
#include "guard.h"
#include "jobs.h"
#include "other_server.h"
#include "postgres_headers.h"
#include "promise_watch.h"
#include "result_set.h"
#include "settings.h"
#include "shared_state.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

struct CheckResult {
  std::string name;
  std::string status;  // "ok", "warning", "error"
  std::string detail;
  std::string hint;
};

CheckResult Ok(std::string name, std::string detail) {
  return {std::move(name), "ok", std::move(detail), {}};
}

// The row of a check that threw.
CheckResult Failed(std::string name, const Error& error) {
  std::string detail = error.message();
  if (!error.detail().empty()) detail += ": " + error.detail();
  return {std::move(name), "error", std::move(detail), error.hint()};
}

CheckResult CheckLoaded() {
  if (GetSharedState() != nullptr) return Ok("preloaded", "backup_ext is loaded by the server");
  return {"preloaded", "error", "backup_ext is not in shared_preload_libraries",
          "Add it and restart the server: without it there are no background workers."};
}

CheckResult CheckLauncher() {
  SharedState* const shared = GetSharedState();
  int pid = 0;
  std::string note;
  bool troubled = false;
  char text[sizeof(shared->schedule_note)] = "";
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_SHARED);
    pid = shared->launcher_pid;
    troubled = shared->schedule_troubled;
    memcpy(text, shared->schedule_note, sizeof(text));
    LWLockRelease(shared->lock);
  });
  note = text;
  if (pid != 0 && troubled) {
    return {"launcher", "error", note,
            "The launcher looks again every 20 seconds, and at once after SELECT "
            "pg_reload_conf()."};
  }
  if (pid != 0) {
    return Ok("launcher",
              fmt::format("running with PID {}{}{}", pid, note.empty() ? "" : "; ", note));
  }
  return {"launcher", "error", "the launcher is not running",
          "It is started again after ten seconds; look into the server log if it does not stay."};
}

CheckResult CheckWalLevel() {
  if (XLogIsNeeded()) return Ok("wal_level", "WAL holds what a restored copy needs");
  return {"wal_level", "error", "wal_level is minimal: no backup can be taken",
          "Set wal_level to replica and restart the server."};
}

CheckResult CheckSlots() {
  if (max_replication_slots > 0) {
    return Ok("replication_slots",
              fmt::format("max_replication_slots is {}", max_replication_slots));
  }
  return {"replication_slots", "error",
          "max_replication_slots is 0: WAL cannot be held for a backup",
          "Set max_replication_slots to 1 or more and restart the server."};
}

CheckResult CheckChecksums() {
  bool enabled = false;
  CallPostgres([&] { enabled = DataChecksumsEnabled(); });
  if (enabled) return Ok("data_checksums", "pages are checked while they are copied");
  return {"data_checksums", "warning", "data checksums are off: damaged pages are copied unseen",
          "Enable them with pg_checksums while the server is stopped."};
}

CheckResult CheckFullPageWrites() {
  bool is_on = true;
  CallPostgres([&] {
    if (!RecoveryInProgress()) return;
    // Not the standby's own setting: the primary's, as of the last checkpoint that was replayed.
    bool sound = false;
    const ControlFileData* const control = get_controlfile(DataDir, &sound);
    is_on = !sound || control->checkPointCopy.fullPageWrites;
  });
  if (is_on) {
    return Ok("full_page_writes", "torn pages are mended by WAL during a backup");
  }
  return {"full_page_writes", "error",
          "full_page_writes is off: a backup of a standby would be corrupt",
          "Switch full_page_writes on at the primary."};
}

CheckResult CheckRepositoryPlace(const Settings& settings) {
  if (settings.repository.empty()) {
    // The server starts with a value that it refuses as if there were none.
    return {"repository", "error", "no repository is set",
            "Set one with ALTER SYSTEM SET backup_ext.repository = '/path/to/backups', then SELECT "
            "pg_reload_conf(). If a configuration file sets it, the value was refused: see the "
            "server log and the view pg_file_settings."};
  }
  CheckLocation(settings.repository, DirectoriesToBackUp());
  return Ok("repository", settings.repository);
}

// What was there at the last backup, and is it still there?
CheckResult CheckMemory(const Settings& settings) {
  constexpr const char* kName = "repository_memory";
  std::string problem;
  const std::optional<ClusterMemory> memory = ReadOwnMemory(&problem);
  if (!problem.empty()) {
    return {kName, "warning", problem, "The next backup writes it anew, and is a full one."};
  }
  if (!memory) return Ok(kName, "nothing is remembered yet");
  if (!Remembers(memory, settings.repository)) {
    return Ok(kName, fmt::format("the last backup went to \"{}\"", memory->repository));
  }
  try {
    const Microseconds created_at = OpenOwnRepository().identity().created_at;
    if (created_at == memory->repository_created_at) {
      return Ok(kName, "the repository is that of the last backup");
    }
    return {kName, "warning",
            fmt::format("the repository was made at {}, that of the last backup at {}",
                        FormatTime(created_at), FormatTime(memory->repository_created_at)),
            "Check that the right file system is mounted."};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNoRepository) ThrowIfRepositoryIsMissed(settings.repository);
    throw;
  }
}

CheckResult CheckSpace(const Settings& settings) {
  const std::string location = settings.repository;
  const std::string existing = StatFile(location) ? location : ParentDirectory(location);
  const uint64_t free_bytes = FreeBytes(existing);
  const std::string detail = fmt::format("{} bytes are free", free_bytes);
  // The next one may be a full one.
  uint64_t last_bytes = 0;
  try {
    for (const BackupRecord& record : ReadCatalog(OpenOwnRepository()).backups) {
      if (record.kind == "full") last_bytes = record.stored_bytes;
      if (last_bytes > 0) break;
    }
  } catch (const Error&) {
    return Ok("repository_space", detail);  // told by the row "catalog"
  }
  if (free_bytes >= last_bytes + last_bytes / 4) return Ok("repository_space", detail);
  return {"repository_space", "warning",
          fmt::format("{} bytes are free, the newest full backup took {}", free_bytes, last_bytes),
          "Free space or move the repository before the next backup."};
}

CheckResult CheckCatalog() {
  const Catalog catalog = ReadCatalog(OpenOwnRepository());
  if (!catalog.unreadable.empty()) {
    return {"catalog", "error",
            fmt::format("{} of {} backups cannot be read: {}", catalog.unreadable.size(),
                        catalog.unreadable.size() + catalog.backups.size(),
                        catalog.unreadable.front().problem),
            "The repository is damaged; take a new backup and look at its storage."};
  }
  return Ok("catalog", fmt::format("{} backups", catalog.backups.size()));
}

// After a success nothing is left to remove: what is has resisted, or the settings were changed.
CheckResult CheckRetention(const Settings& settings) {
  constexpr const char* kName = "retention";
  const Repository repository = OpenOwnRepository();
  const Catalog catalog = ReadCatalog(repository);
  size_t overdue = 0;
  for (const BackupOutlook& outlook : JudgeBackups(repository, catalog, settings.retention)) {
    if (!outlook.decision.keep) overdue++;
    if (!outlook.notes.unreadable_pin) continue;
    return {kName, "warning", "a pin cannot be read: its backup is kept as if it had no end",
            "Pin it again, or unpin it: SELECT backup_id FROM backup_list() WHERE kept_because = "
            "'its pin cannot be read'."};
  }
  if (overdue == 0) {
    return Ok(kName,
              fmt::format("backups are kept for {}", FormatDuration(settings.retention.retention)));
  }
  return {kName, "warning",
          fmt::format("{} backups are older than backup_ext.retention and still there", overdue),
          "The next successful backup removes them, SELECT * FROM backup_expire() now. The server "
          "log says what stood in the way."};
}

CheckResult CheckLastBackup(const Settings& settings) {
  const Catalog catalog = ReadCatalog(OpenOwnRepository());
  for (const BackupRecord& record : catalog.backups) {
    if (record.state != "complete") continue;
    const Microseconds age = Now() - record.started_at;
    const std::string detail =
        fmt::format("backup {} is {:.1f} hours old", record.backup_id,
                    static_cast<double>(age) / kMicrosecondsPerSecond / 3600);
    if (DescribeBrokenPromise(settings, record.started_at).empty())
      return Ok("last_backup", detail);
    return {"last_backup", "error", detail,
            "Look at the other rows, at backup_history() and at the server log, or take one with "
            "SELECT backup_now()."};
  }
  return {"last_backup", "error", "there is no good backup yet",
          "Take one with SELECT backup_now()."};
}

// What the newest verify of each backup said, and whether they are verified as often as promised.
CheckResult CheckVerified(const Settings& settings) {
  const Repository repository = OpenOwnRepository();
  std::vector<std::string> damaged;
  Microseconds newest = 0;
  std::string first_problem;
  for (const BackupRecord& record : ReadCatalog(repository).backups) {
    const std::optional<VerifyNote> note = ReadNotes(repository, record.backup_id).verify;
    if (!note) continue;
    newest = std::max(newest, note->made_at);
    if (note->problems == 0) continue;
    if (damaged.empty()) first_problem = note->first_problem;
    damaged.push_back(record.backup_id);
  }
  if (!damaged.empty()) {
    return {"verified", "error",
            fmt::format("damaged when it was last verified: {}; {}", fmt::join(damaged, ", "),
                        first_problem),
            "Take a new backup and look at the repository's storage. backup_verify() names every "
            "damaged file; a backup that is sound again is so after the next backup_verify()."};
  }
  const std::string detail =
      newest == 0
          ? "no backup was verified yet"
          : fmt::format("last verified {:.1f} hours ago, and sound",
                        static_cast<double>(Now() - newest) / kMicrosecondsPerSecond / 3600);
  const bool overdue =
      settings.verify_interval > 0 && newest != 0 && Now() - newest > 2 * settings.verify_interval;
  if (!overdue) return Ok("verified", detail);
  return {"verified", "warning", detail,
          "backup_ext.verify_interval promises more. Look into the server log."};
}

CheckResult CheckSchedule(const Settings& settings) {
  SharedState* const shared = GetSharedState();
  int failures = 0;
  bool was_cut_off = false;
  bool window_open = false;
  char text[sizeof(shared->last_automatic_error)] = "";
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_SHARED);
    window_open = shared->window_closes_at != 0;
    was_cut_off = shared->last_cut_off != 0;
    failures = shared->automatic_failures_in_a_row;
    memcpy(text, shared->last_automatic_error, sizeof(text));
    LWLockRelease(shared->lock);
  });
  if (!settings.enabled) {
    return {"schedule", "warning", "automatic backups are switched off",
            "Set backup_ext.enabled to on."};
  }
  if (failures > 0) {
    const std::string due = window_open ? "" : "; the window has closed, and a backup is due";
    return {"schedule", "error",
            fmt::format("the last {} automatic backups failed: {}{}", failures, text, due),
            "They are tried again inside the window, with growing pauses, and at once after SELECT "
            "pg_reload_conf()."};
  }
  if (was_cut_off) {
    return {"schedule", "warning", "the last automatic backup was ended by the end of its window",
            "The next one goes on with it. If it happens again and again, make the window longer, "
            "or set backup_ext.window_end to throttle or continue."};
  }
  return Ok("schedule", "automatic backups are on");
}

// Two servers of one copied data directory.
CheckResult CheckSharing() {
  const Repository repository = OpenOwnRepository();
  CheckNoOtherServer(repository, ReadCatalog(repository));
  return Ok("other_servers", "no other server but one of its pair writes to the repository");
}

CheckResult CheckMedia(const Settings& settings) {
  constexpr const char* kName = "media_directories";
  if (settings.media.directories.empty()) {
    return {kName, "warning",
            "backup_ext.media_on_schedule is on, but backup_ext.media_directories is empty",
            "Name the directories, or switch backup_ext.media_on_schedule off."};
  }
  CheckMediaDirectories(settings.media.directories, DirectoriesApartFromMedia(settings));
  std::string unreadable;
  try {
    for (const BackupRecord& record : ReadCatalog(OpenOwnRepository()).backups) {
      if (!HasMedia(record)) continue;
      unreadable = DescribeUnreadable(record.media);
      if (!unreadable.empty()) unreadable = "backup " + record.backup_id + ": " + unreadable;
      break;
    }
  } catch (const Error&) {
    // Told by the row "catalog".
  }
  if (!unreadable.empty()) {
    return {kName, "warning", unreadable,
            "Let the server's user read them; the server log names each one."};
  }
  return Ok(kName, fmt::format("{}", fmt::join(settings.media.directories, ", ")));
}

CheckResult CheckStaging(const Settings& settings) {
  const std::string directory = StagingDirectory(settings);
  const std::string existing = StatFile(directory) ? directory : ParentDirectory(directory);
  const std::string detail = fmt::format("{}; {} bytes are free", directory, FreeBytes(existing));
  if (access(existing.c_str(), W_OK) == 0) return Ok("staging_directory", detail);
  return {"staging_directory", "warning", fmt::format("\"{}\" is not writable", existing),
          "Set backup_ext.staging_directory to a directory of the server's user."};
}

void AddCheck(ResultSet* rows, const std::string& name, const std::function<CheckResult()>& check) {
  CheckResult result;
  try {
    result = check();
  } catch (const Error& error) {
    result = Failed(name, error);
  }
  rows->Add({result.name, result.status, TextOrNull(result.detail), TextOrNull(result.hint)});
}

void RunChecks(FunctionCallInfo call) {
  const Settings settings = CurrentSettings();
  ResultSet rows(call);
  AddCheck(&rows, "preloaded", CheckLoaded);
  if (GetSharedState() != nullptr) {
    AddCheck(&rows, "launcher", CheckLauncher);
    AddCheck(&rows, "schedule", [&] { return CheckSchedule(settings); });
  }
  AddCheck(&rows, "wal_level", CheckWalLevel);
  AddCheck(&rows, "replication_slots", CheckSlots);
  AddCheck(&rows, "full_page_writes", CheckFullPageWrites);
  AddCheck(&rows, "data_checksums", CheckChecksums);
  AddCheck(&rows, "repository", [&] { return CheckRepositoryPlace(settings); });
  if (!settings.repository.empty()) {
    AddCheck(&rows, "repository_memory", [&] { return CheckMemory(settings); });
    AddCheck(&rows, "repository_space", [&] { return CheckSpace(settings); });
    AddCheck(&rows, "catalog", CheckCatalog);
    AddCheck(&rows, "other_servers", CheckSharing);
    AddCheck(&rows, "retention", [&] { return CheckRetention(settings); });
    AddCheck(&rows, "last_backup", [&] { return CheckLastBackup(settings); });
    AddCheck(&rows, "verified", [&] { return CheckVerified(settings); });
  }
  if (!settings.media.directories.empty() || settings.media.on_schedule) {
    AddCheck(&rows, "media_directories", [&] { return CheckMedia(settings); });
  }
  AddCheck(&rows, "staging_directory", [&] { return CheckStaging(settings); });
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_check);

// The one function that answers without preloading: it is how one finds out.
Datum backup_ext_backup_check(PG_FUNCTION_ARGS) {
  backup_ext::Enter([fcinfo] { backup_ext::RunChecks(fcinfo); });
  return 0;
}

}  // extern "C"
