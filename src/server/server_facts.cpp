// What the server knows about itself and a backup must remember.
#include "server_facts.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/file.h"
#include "base/machine.h"

#include "guard.h"
#include "postgres_headers.h"
#include "version.h"

extern "C" {
#include "catalog/catversion.h"
}

namespace backup_ext {
namespace {

// Recovery refuses to start, or pauses, when one of these is lower than it was on the origin.
constexpr std::array<std::string_view, 5> kRecoveryChecked = {
    "max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders",
    "max_worker_processes"};
// Superuser-only settings that a restored server needs and that hold no secret.
constexpr std::array<std::string_view, 4> kKeptThoughRestricted = {
    "shared_preload_libraries", "session_preload_libraries", "local_preload_libraries",
    "dynamic_library_path"};

template <size_t kCount>
bool IsOneOf(std::string_view name, const std::array<std::string_view, kCount>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsConfigured(const struct config_generic& setting) {
  return setting.source == PGC_S_FILE || setting.source == PGC_S_ARGV ||
         setting.source == PGC_S_ENV_VAR;
}

bool IsWanted(const struct config_generic& setting) {
  const std::string_view name = setting.name;
  if (IsOneOf(name, kRecoveryChecked) || name == "shared_preload_libraries") return true;
  if (!IsConfigured(setting) || (setting.flags & GUC_NO_SHOW_ALL) != 0) return false;
  if ((setting.flags & GUC_SUPERUSER_ONLY) != 0) return IsOneOf(name, kKeptThoughRestricted);
  return name.find("password") == std::string_view::npos &&
         name.find("secret") == std::string_view::npos;
}

struct SettingsView {
  struct config_generic** settings = nullptr;
  int count = 0;
};

SettingsView ViewSettings() {
  SettingsView view;
  CallPostgresUninterrupted([&] { view.settings = AllSettings(&view.count); });
  return view;
}

}  // namespace

ClusterFacts ReadClusterFacts() {
  ClusterFacts facts;
  facts.data_directory = DataDir;
  facts.version_directory = TABLESPACE_VERSION_DIRECTORY;
  facts.block_bytes = BLCKSZ;
  facts.segment_blocks = RELSEG_SIZE;
  facts.wal_segment_bytes = static_cast<uint32_t>(wal_segment_size);
  CallPostgres([&] {
    facts.system_identifier = GetSystemIdentifier();
    facts.data_checksums = DataChecksumsEnabled();
    facts.in_recovery = RecoveryInProgress();
  });
  return facts;
}

std::map<std::string, std::string> ReadConfiguredSettings() {
  std::map<std::string, std::string> values;
  const SettingsView view = ViewSettings();
  for (int i = 0; i < view.count; i++) {
    const struct config_generic& setting = *view.settings[i];
    if (!IsWanted(setting)) continue;
    const char* value = nullptr;
    // Not GetConfigOptionByName(): it asks the catalog who we are, and there is no transaction.
    CallPostgres([&] { value = GetConfigOption(setting.name, true, false); });
    if (value != nullptr) values[setting.name] = value;
  }
  return values;
}

std::vector<std::string> OutsideConfigurationFiles() {
  std::set<std::string> files;
  for (const char* const file : {ConfigFileName, HbaFileName, IdentFileName}) {
    if (file != nullptr && file[0] != '\0') files.insert(file);
  }
#if PG_VERSION_NUM >= 190000
  if (HostsFileName != nullptr && HostsFileName[0] != '\0') files.insert(HostsFileName);
#endif
  const SettingsView view = ViewSettings();
  for (int i = 0; i < view.count; i++) {
    const char* const source = view.settings[i]->sourcefile;
    if (source != nullptr && source[0] == '/') files.insert(source);
  }
  const std::string data_directory = ResolvePath(DataDir);
  std::vector<std::string> outside;
  for (const std::string& file : files) {
    if (!StatFile(file) || IsInside(ResolvePath(file), data_directory)) continue;
    outside.push_back(file);
  }
  return outside;
}

void FillServerFields(const ClusterFacts& facts, BackupRecord* record) {
  static constexpr const char* kWalLevels[] = {"minimal", "replica", "logical"};
  record->system_identifier = facts.system_identifier;
  const std::string_view version = PG_VERSION;  // packagers add words of their own
  record->server_version = version.substr(0, version.find(' '));
  record->server_version_num = PG_VERSION_NUM;
  record->control_version = PG_CONTROL_VERSION;
  record->catalog_version = CATALOG_VERSION_NO;
  record->block_bytes = facts.block_bytes;
  record->segment_blocks = facts.segment_blocks;
  record->wal_segment_bytes = facts.wal_segment_bytes;
  record->data_checksums = facts.data_checksums;
  record->wal_level = kWalLevels[std::clamp<int>(wal_level, 0, 2)];
  record->data_directory = facts.data_directory;
  record->host = HostName();
  record->from_standby = facts.in_recovery;
  record->settings = ReadConfiguredSettings();
}

}  // namespace backup_ext
