// The guards of a copy.
#include "restore/stage_settings.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "restore/restore_test_support.h"
#include "restore/settings_file.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;
using testing::Not;

class StageSettings : public testing::Test {
 protected:
  StageSettings() {
    record_.backup_id = kTestBackupId;
    record_.timeline = 1;
    record_.start_lsn = 1;
    record_.stop_lsn = 2;
    record_.server_version_num = 150018;
    facts_.stage_id = "stage-20261123-110000-00c0ffee";
    facts_.directory = "/srv/stage";
    facts_.socket_directory = "/srv/stage/backup_ext_stage/socket";
  }
  std::string Text(std::string_view origin = "") { return StageAutoConf(origin, record_, facts_); }
  BackupRecord record_;
  GuardFacts facts_;
};

TEST_F(StageSettings, EveryLineIsOneTheServerReads) {
  const std::string text = Text("work_mem = 1\n\n# x\n");
  for (const std::string_view line : LinesOf(text)) {
    EXPECT_TRUE(line.empty() || line[0] == '#' || !SettingOfLine(line).empty()) << line;
  }
}

TEST_F(StageSettings, NoSettingOfTheOriginOverridesAGuard) {
  const std::string text = Text(
      "PORT = 1\nArchive_Mode on\n  primary_conninfo='host=live'\nrestore_command = 'cp /live'\n"
      "recovery_target_time = '2020-01-01'\nwork_mem = '1MB'\ninclude '/etc/x'\n"
      "recovery_end_command = 'promote-vip'\n");
  EXPECT_THAT(text, Not(HasSubstr("PORT")));
  EXPECT_THAT(text, Not(HasSubstr("Archive_Mode on")));
  EXPECT_THAT(text, Not(HasSubstr("host=live")));
  EXPECT_THAT(text, Not(HasSubstr("/live")));
  EXPECT_THAT(text, Not(HasSubstr("2020")));
  EXPECT_THAT(text, Not(HasSubstr("/etc/x")));
  EXPECT_THAT(text, Not(HasSubstr("promote-vip")));
  EXPECT_THAT(text, HasSubstr("work_mem = '1MB'\n"));
}

// Each by itself: what one of them prevents, no other does.
TEST_F(StageSettings, EveryGuardIsSetWhateverTheOriginSays) {
  const std::vector<std::pair<std::string, std::string>> guards = {
      {"listen_addresses", ""},
      {"bonjour", "off"},
      {"ssl", "off"},
      {"port", "5432"},
      {"unix_socket_directories", "/srv/stage/backup_ext_stage/socket"},
      {"unix_socket_group", ""},
      {"unix_socket_permissions", "0700"},
      {"hba_file", "/srv/stage/backup_ext_stage/pg_hba.conf"},
      {"ident_file", "/srv/stage/backup_ext_stage/pg_ident.conf"},
      {"cluster_name", "stage-20261123-110000-00c0ffee"},
      {"archive_mode", "off"},
      {"archive_command", ""},
      {"archive_library", ""},
      {"archive_cleanup_command", ""},
      {"recovery_end_command", ""},
      {"restore_command", "false"},
      {"recovery_target_name", ""},
      {"recovery_target_time", ""},
      {"recovery_target_xid", ""},
      {"recovery_target_lsn", ""},
      {"recovery_target", ""},
      {"recovery_target_timeline", "1"},
      {"recovery_target_action", "promote"},
      {"recovery_min_apply_delay", "0"},
      {"hot_standby", "on"},
      {"primary_conninfo", ""},
      {"primary_slot_name", ""},
      {"synchronous_standby_names", ""},
      {"max_logical_replication_workers", "0"},
      {"sync_replication_slots", "off"},
      {"synchronized_standby_slots", ""},
      {"autovacuum", "off"},
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
      {"external_pid_file", "/srv/stage/backup_ext_stage/server.pid"},
      {"backup_ext.enabled", "off"},
      {"summarize_wal", "off"},
      {"shared_preload_libraries", "timescaledb"},
      {"cron.launch_active_jobs", "off"},
      {"timescaledb.max_background_workers", "0"},
      {"max_connections", "11"},
      {"max_worker_processes", "12"},
      {"max_wal_senders", "13"},
      {"max_prepared_transactions", "14"},
      {"max_locks_per_transaction", "15"},
      {"shared_buffers", "128MB"},
      {"huge_pages", "try"},
      {"allow_in_place_tablespaces", "on"}};
  record_.server_version_num = 180000;
  record_.settings = {{"shared_preload_libraries", "pg_cron,timescaledb"},
                      {"max_connections", "11"},
                      {"max_worker_processes", "12"},
                      {"max_wal_senders", "13"},
                      {"max_prepared_transactions", "14"},
                      {"max_locks_per_transaction", "15"}};
  facts_.has_in_place_tablespace = true;
  std::string origin;
  for (const auto& [name, value] : guards) origin += name + " = 'of the origin'\n";
  const std::string text = Text(origin);
  EXPECT_THAT(text, Not(HasSubstr("of the origin'")));
  std::set<std::string> names;
  for (const auto& [name, value] : guards) {
    EXPECT_THAT(text, HasSubstr(fmt::format("\n{} = '{}'\n", name, value)));
    names.insert(name);
  }
  for (const std::string_view line : LinesOf(text)) {
    const std::string name = SettingOfLine(line);
    EXPECT_TRUE(name.empty() || names.contains(name)) << "a guard without a row: " << line;
  }
}

// The WAL is cut off where the backup ends. With a target, recovery would fail when no record
// follows.
TEST_F(StageSettings, ThereIsNoRecoveryTarget) {
  const std::string text = Text();
  for (const char* name : {"", "_name", "_time", "_xid", "_lsn"}) {
    EXPECT_THAT(text, HasSubstr(fmt::format("\nrecovery_target{} = ''\n", name)));
  }
}

TEST_F(StageSettings, TimelineIsNamedWhereItsHistoryIs) {
  record_.wal_ranges = {{3, 50, 60}, {2, 1, 50}};
  facts_.has_timeline_history = true;
  EXPECT_THAT(Text(), HasSubstr("recovery_target_timeline = '3'\n"));
  facts_.has_timeline_history = false;
  EXPECT_THAT(Text(), HasSubstr("recovery_target_timeline = 'current'\n"));
}

TEST_F(StageSettings, SizesThatRecoveryNeedsAreKept) {
  record_.settings = {{"max_connections", "777"}, {"max_prepared_transactions", "5"}};
  EXPECT_THAT(Text("max_connections = 3\n"), HasSubstr("max_connections = '777'\n"));
  EXPECT_THAT(Text("max_connections = 3\n"), Not(HasSubstr("max_connections = 3\n")));
  EXPECT_THAT(Text(), HasSubstr("max_prepared_transactions = '5'\n"));
  EXPECT_THAT(Text(), Not(HasSubstr("max_wal_senders")));
}

TEST_F(StageSettings, SettingsOfNewerVersionsAreLeftOut) {
  EXPECT_THAT(Text(), Not(HasSubstr("summarize_wal")));
  EXPECT_THAT(Text(), Not(HasSubstr("sync_replication_slots")));
  record_.server_version_num = 170000;
  EXPECT_THAT(Text(), HasSubstr("summarize_wal = 'off'\n"));
}

TEST_F(StageSettings, LibrariesThatActAreLeftOut) {
  record_.settings = {{"shared_preload_libraries", "pg_cron,timescaledb,backup_ext"}};
  const std::string text = Text("shared_preload_libraries = 'pg_cron'\n");
  EXPECT_THAT(text, HasSubstr("shared_preload_libraries = 'timescaledb'\n"));
  EXPECT_THAT(text, HasSubstr("cron.launch_active_jobs = 'off'\n"));
  EXPECT_THAT(text, HasSubstr("timescaledb.max_background_workers = '0'\n"));
}

TEST_F(StageSettings, PathsAreQuoted) {
  facts_.directory = "/srv/it's";
  facts_.socket_directory = "/srv/it's, \"two\"";
  EXPECT_THAT(Text(), HasSubstr("hba_file = '/srv/it''s/backup_ext_stage/pg_hba.conf'\n"));
  EXPECT_THAT(Text(), HasSubstr("unix_socket_directories = '\"/srv/it''s, \"\"two\"\"\"'\n"));
}

TEST_F(StageSettings, ACopyOfACopyHasOneSetOfGuards) {
  EXPECT_EQ(Text(Text("work_mem = 1\n")), Text("work_mem = 1\n"));
}

}  // namespace
}  // namespace backup_ext
