// Whether another server that is no partner of this one's pair writes to its repository.
#include "other_server.h"

#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "cluster/control_file.h"
#include "policy/other_server.h"

#include "cluster_state.h"
#include "guard.h"
#include "postgres_headers.h"
#include "wal_collector.h"

namespace backup_ext {
namespace {

constexpr uint64_t kPidFileLimitBytes = 4096;

struct Place {
  bool in_recovery = false;
  uint32_t timeline = 0;
};

Place OwnPlace() {
  Place place;
  CallPostgresUninterrupted([&] {
    place.in_recovery = RecoveryInProgress();
    TimeLineID timeline = 0;
    if (place.in_recovery) {
      (void)GetXLogReplayRecPtr(&timeline);
    } else {
      timeline = GetWALInsertionTimeLine();
    }
    place.timeline = timeline;
  });
  return place;
}

ThisServer DescribeThisServer(const Repository& repository, const Place& place) {
  ThisServer server;
  server.in_recovery = place.in_recovery;
  server.history = TimelineHistory(place.timeline, DataDir);
  server.host = HostName();
  server.data_directory = DataDir;
  server.remembered = RememberedBackups(repository);
  return server;
}

std::vector<TakenBackup> Describe(const Catalog& catalog) {
  std::vector<TakenBackup> backups;
  for (const BackupRecord& record : catalog.backups) {
    backups.push_back({.backup_id = record.backup_id,
                       .started_at = record.started_at,
                       .from_standby = record.from_standby,
                       .stop_timeline = WalRangesOf(record).front().timeline,
                       .stop_lsn = record.stop_lsn,
                       .host = record.host,
                       .data_directory = record.data_directory});
  }
  return backups;
}

// A server of this cluster is running on `data_directory` of this machine, as a primary.
bool IsRunningThere(const std::string& data_directory, uint64_t system_identifier) {
  try {
    const auto control = ReadControlFile(JoinPath(data_directory, XLOG_CONTROL_FILE));
    if (!control || control->system_identifier != system_identifier) return false;
    if (StatFile(JoinPath(data_directory, "standby.signal"))) return false;
    const Bytes text =
        ReadWholeFile(JoinPath(data_directory, "postmaster.pid"), kPidFileLimitBytes);
    const std::string first(AsText(text).substr(0, AsText(text).find('\n')));
    const long pid = std::strtol(first.c_str(), nullptr, 10);
    return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
  } catch (const Error&) {
    return false;  // gone, or closed to us
  }
}

Error Refusal(const Repository& repository, const TakenBackup& other, const ThisServer& own,
              std::string_view what) {
  return Error(
      ErrorCode::kWrongCluster,
      fmt::format("repository \"{}\" is used by another server of this cluster",
                  repository.location()),
      fmt::format("Backup {} is of the server on host \"{}\" in \"{}\", timeline {}{} This is the "
                  "server on host \"{}\" in \"{}\", timeline {}.",
                  other.backup_id, other.host, other.data_directory, other.stop_timeline, what,
                  own.host, own.data_directory, own.history.back().timeline),
      fmt::format("Two servers that are not primary and standby of each other need a repository "
                  "each. If the other one is gone for good, drop its backups: SELECT "
                  "backup_drop('{}').",
                  other.backup_id));
}

}  // namespace

void CheckNoOtherServer(const Repository& repository, const Catalog& catalog) {
  const ThisServer own = DescribeThisServer(repository, OwnPlace());
  const std::vector<TakenBackup> backups = Describe(catalog);
  if (const TakenBackup* const other = BackupOfOtherServer(backups, own)) {
    throw Refusal(repository, *other, own, ".");
  }
  const TakenBackup* const original = BackupOfPossibleOriginal(backups, own);
  if (original == nullptr || original->host != own.host ||
      !IsRunningThere(original->data_directory, repository.identity().system_identifier)) {
    return;
  }
  throw Refusal(repository, *original, own, ", which is running now.");
}

}  // namespace backup_ext
