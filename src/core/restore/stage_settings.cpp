// The guards: the settings that make a copy harmless, however it is started.
#include "restore/stage_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "restore/preload_libraries.h"
#include "restore/settings_file.h"
#include "restore/stage_tree.h"
#include "restore/wal_plan.h"

namespace backup_ext {
namespace {

// Marks our comments, so that a backup of a copy does not collect them.
constexpr std::string_view kCommentMark = "# backup_ext: ";

struct Guard {
  std::string name;
  std::string value;
};

// Settings that belong together, with the one reason why.
struct GuardGroup {
  std::string why;
  std::vector<Guard> guards;
};

// A directory in a list of directories: the server splits it at commas.
std::string ListItem(const std::string& directory) {
  if (directory.find_first_of(",\" ") == std::string::npos) return directory;
  std::string item = "\"";
  for (const char c : directory) item.append(c == '"' ? 2 : 1, c);
  return item + "\"";
}

GuardGroup Connections(const GuardFacts& facts) {
  const std::string folder = fmt::format("{}/{}", facts.directory, kStageFolder);
  return {"reachable through a private socket only",
          {{"listen_addresses", ""},
           {"bonjour", "off"},
           {"ssl", "off"},
           {"port", std::to_string(facts.port)},
           {"unix_socket_directories", ListItem(facts.socket_directory)},
           {"unix_socket_group", ""},
           {"unix_socket_permissions", "0700"},
           {"hba_file", folder + "/pg_hba.conf"},
           {"ident_file", folder + "/pg_ident.conf"},
           {"cluster_name", facts.stage_id}}};
}

GuardGroup Archive() {
  return {"must not write into the archive of the server that it is a copy of",
          {{"archive_mode", "off"},
           {"archive_command", ""},
           {"archive_library", ""},
           {"archive_cleanup_command", ""},
           {"recovery_end_command", ""}}};
}

// No target: recovery ends where the WAL is cut off, at the end of the backup. `immediate` would
// stop only at a record after that, and there is none in the backup of an idle standby. Source:
// src/backend/access/transam/xlogrecovery.c, recoveryStopsBefore(), recoveryStopsAfter().
constexpr std::array<std::string_view, 11> kRecoverySettings = {
    "restore_command",          "recovery_target_name",      "recovery_target_time",
    "recovery_target_xid",      "recovery_target_lsn",       "recovery_target",
    "recovery_target_timeline", "recovery_target_action",    "recovery_min_apply_delay",
    "archive_cleanup_command",  "allow_in_place_tablespaces"};

GuardGroup Recovery(const BackupRecord& record, const GuardFacts& facts) {
  const uint32_t timeline = TargetTimeline(record);
  const bool by_number = timeline == 1 || facts.has_timeline_history;
  return {"recovers from the WAL of the backup alone, to its end, and onto a timeline of its own",
          {{"restore_command", "false"},
           {"recovery_target_name", ""},
           {"recovery_target_time", ""},
           {"recovery_target_xid", ""},
           {"recovery_target_lsn", ""},
           {"recovery_target", ""},
           {"recovery_target_timeline", by_number ? std::to_string(timeline) : "current"},
           {"recovery_target_action", "promote"},
           {"recovery_min_apply_delay", "0"},
           {"hot_standby", "on"}}};
}

GuardGroup OtherServers(const BackupRecord& record) {
  GuardGroup group = {"must not talk to other servers: no standby, no subscriptions, no waiting",
                      {{"primary_conninfo", ""},
                       {"primary_slot_name", ""},
                       {"synchronous_standby_names", ""},
                       {"max_logical_replication_workers", "0"}}};
  if (record.server_version_num >= 170000) {
    group.guards.push_back({"sync_replication_slots", "off"});
    group.guards.push_back({"synchronized_standby_slots", ""});
  }
  return group;
}

GuardGroup Work(const BackupRecord& record, const GuardFacts& facts) {
  GuardGroup group = {
      "does nothing on its own; logs to the file that pg_ctl is given",
      {{"autovacuum", "off"},
       {"logging_collector", "off"},
       {"log_destination", "stderr"},
       // Not empty: the server would try to write a file of that name, and complain.
       {"external_pid_file", fmt::format("{}/{}/server.pid", facts.directory, kStageFolder)},
       {"backup_ext.enabled", "off"}}};
  if (record.server_version_num >= 170000) group.guards.push_back({"summarize_wal", "off"});
  return group;
}

GuardGroup Libraries(const BackupRecord& record) {
  const auto setting = record.settings.find("shared_preload_libraries");
  const FilteredLibraries libraries =
      FilterLibraries(setting == record.settings.end() ? "" : setting->second);
  const auto has = [](const std::vector<std::string>& names, const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  GuardGroup group = {"no library that might act by itself; what is missing can be added here",
                      {{"shared_preload_libraries", libraries.kept}}};
  if (!libraries.removed.empty()) {
    group.why += fmt::format(" (left out: {})", fmt::join(libraries.removed, ", "));
  }
  if (has(libraries.removed, "pg_cron")) group.guards.push_back({"cron.launch_active_jobs", "off"});
  if (has(libraries.kept_names, "timescaledb")) {
    group.guards.push_back({"timescaledb.max_background_workers", "0"});
  }
  return group;
}

// Recovery refuses values below those of the origin.
// Source: src/backend/access/transam/xlogrecovery.c, RecoveryRequiresIntParameter().
GuardGroup Sizes(const BackupRecord& record) {
  GuardGroup group = {"at least as high as on the origin, or recovery would stop", {}};
  constexpr std::array<const char*, 5> kRequired = {"max_connections", "max_worker_processes",
                                                    "max_wal_senders", "max_prepared_transactions",
                                                    "max_locks_per_transaction"};
  for (const char* name : kRequired) {
    const auto setting = record.settings.find(name);
    if (setting != record.settings.end()) group.guards.push_back({name, setting->second});
  }
  return group;
}

std::vector<GuardGroup> Guards(const BackupRecord& record, const GuardFacts& facts) {
  std::vector<GuardGroup> groups = {Connections(facts),      Archive(),
                                    Recovery(record, facts), OtherServers(record),
                                    Work(record, facts),     Libraries(record)};
  if (GuardGroup sizes = Sizes(record); !sizes.guards.empty()) groups.push_back(std::move(sizes));
  groups.push_back({"leaves the memory to the server beside it",
                    {{"shared_buffers", "128MB"}, {"huge_pages", "try"}}});
  if (facts.has_in_place_tablespace) {
    groups.push_back({"the origin has tablespaces inside pg_tblspc; recovery needs this",
                      {{"allow_in_place_tablespaces", "on"}}});
  }
  return groups;
}

std::string WithoutOurComments(std::string_view text) {
  std::string rest;
  for (const std::string_view line : LinesOf(text)) {
    if (line.substr(0, kCommentMark.size()) == kCommentMark) continue;
    rest.append(line).append("\n");
  }
  return rest;
}

}  // namespace

uint32_t TargetTimeline(const BackupRecord& record) {
  uint32_t newest = 0;
  for (const WalRange& range : WalRangesOf(record)) newest = std::max(newest, range.timeline);
  return newest;
}

std::string RecoveringAutoConf(std::string_view origin_text, std::string_view guarded_text,
                               std::string_view recovery_end_command) {
  std::map<std::string, std::string> values;
  for (const std::string_view line : LinesOf(guarded_text)) {
    std::string name = SettingOfLine(line);
    if (std::ranges::find(kRecoverySettings, name) != kRecoverySettings.end()) {
      values[std::move(name)] = ValueOfLine(line);
    }
  }
  // Nobody reads before recovery is over: then it needs no sizes of the origin.
  values["hot_standby"] = "off";
  values["recovery_end_command"] = recovery_end_command;
  std::set<std::string> names;
  for (const auto& [name, value] : values) names.insert(name);
  std::string text = WithoutOurComments(WithoutSettings(origin_text, names));
  text += fmt::format(
      "{}for the first start only: recovers from the WAL of the backup, and onto a timeline of its "
      "own; then the origin's own file takes the place of this one\n",
      kCommentMark);
  for (const auto& [name, value] : values) {
    text += fmt::format("{} = {}\n", name, QuoteSetting(value));
  }
  return text;
}

std::string StageAutoConf(std::string_view origin_text, const BackupRecord& record,
                          const GuardFacts& facts) {
  const std::vector<GuardGroup> groups = Guards(record, facts);
  std::set<std::string> names;
  for (const GuardGroup& group : groups) {
    for (const Guard& guard : group.guards) names.insert(guard.name);
  }
  std::string text = WithoutOurComments(WithoutSettings(origin_text, names));
  text += fmt::format(
      "{}this is a staged copy ({}) of backup {}; the settings below keep it apart from the server "
      "that it is a copy of\n{}the origin's own file is {}/postgresql.auto.conf\n",
      kCommentMark, facts.stage_id, record.backup_id, kCommentMark, kStageFolder);
  for (const GuardGroup& group : groups) {
    text += fmt::format("{}{}\n", kCommentMark, group.why);
    for (const Guard& guard : group.guards) {
      text += fmt::format("{} = {}\n", guard.name, QuoteSetting(guard.value));
    }
  }
  return text;
}

}  // namespace backup_ext
