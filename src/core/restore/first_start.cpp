// The first start of an activated stage.
#include "restore/first_start.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/file.h"
#include "cluster/control_file.h"
#include "restore/owned_file.h"
#include "restore/settings_file.h"
#include "restore/stage_marker.h"
#include "restore/stage_settings.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

using Settings = std::map<std::string, std::string>;

// Run by the server in its data directory.
constexpr std::string_view kRecoveryEndCommand =
    "mv -f backup_ext_stage/next.auto.conf postgresql.auto.conf";

std::string AutoConf(const std::string& directory) { return directory + "/postgresql.auto.conf"; }

Settings SettingsOf(std::string_view text) {
  Settings settings;
  for (const std::string_view line : LinesOf(text)) {
    if (std::string name = SettingOfLine(line); !name.empty()) {
      settings[std::move(name)] = ValueOfLine(line);
    }
  }
  return settings;
}

bool Has(const Settings& settings, const std::string& name, const std::string& value) {
  const auto found = settings.find(name);
  return found != settings.end() && found->second == value;
}

// `origin_text` with what was changed from `first_text` to `text`. A setting of the recovery that
// was reset is the origin's again.
std::string WithChanges(std::string_view origin_text, std::string_view first_text,
                        std::string_view text) {
  const Settings origin = SettingsOf(origin_text);
  const Settings first = SettingsOf(first_text);
  const Settings now = SettingsOf(text);
  std::set<std::string> names;
  std::string lines;
  for (const auto& [name, value] : now) {
    if (Has(first, name, value)) continue;
    names.insert(name);
    lines += fmt::format("{} = {}\n", name, QuoteSetting(value));
  }
  for (const auto& [name, value] : first) {
    if (!now.contains(name) && Has(origin, name, value)) names.insert(name);
  }
  if (names.empty()) return std::string(origin_text);
  return WithoutSettings(origin_text, names) + lines;
}

}  // namespace

std::string OriginAutoConf(const std::string& directory) {
  return InStageFolder(directory, "postgresql.auto.conf");
}
std::string NextAutoConf(const std::string& directory) {
  return InStageFolder(directory, "next.auto.conf");
}
std::string GuardedAutoConf(const std::string& directory) {
  return InStageFolder(directory, "guarded.auto.conf");
}

std::string FirstStartAutoConf(const std::string& directory) {
  return RecoveringAutoConf(ReadSettingsFile(OriginAutoConf(directory)),
                            ReadSettingsFile(GuardedAutoConf(directory)), kRecoveryEndCommand);
}

bool IsFirstStartUnfinished(const std::string& directory) {
  return StatLink(NextAutoConf(directory)) && StatLink(GuardedAutoConf(directory)) &&
         !StatLink(directory + "/recovery.signal");
}

namespace {

bool IsRecoveryToRepeat(const std::string& directory) {
  if (!IsFirstStartUnfinished(directory)) return false;
  const auto control = ReadControlFile(directory + "/global/pg_control");
  if (!control || !WasInRecovery(*control)) return false;
  // On any other timeline the server would not start.
  const Settings settings = SettingsOf(ReadSettingsFile(AutoConf(directory)));
  const auto is_ours = [&](const std::string& timeline) {
    return Has(settings, "recovery_target_timeline", timeline);
  };
  return Has(settings, "recovery_end_command", std::string(kRecoveryEndCommand)) &&
         (is_ours("current") || is_ours(std::to_string(control->checkpoint_timeline)));
}

// Not where the guards are in force again: that is a stage.
bool IsFileToPut(const std::string& directory) {
  return IsFirstStartUnfinished(directory) &&
         ReadSettingsFile(AutoConf(directory)) != ReadSettingsFile(GuardedAutoConf(directory));
}

}  // namespace

FirstStartRemedy RemedyOfFirstStart(const std::string& directory) {
  if (IsRecoveryToRepeat(directory)) return FirstStartRemedy::kRepeatRecovery;
  return IsFileToPut(directory) ? FirstStartRemedy::kFinish : FirstStartRemedy::kNone;
}

bool RepeatFirstRecovery(const std::string& directory) {
  if (!IsRecoveryToRepeat(directory)) return false;
  WriteOwnedFile(directory + "/recovery.signal", {}, directory);
  return true;
}

bool FinishFirstStart(const std::string& directory) {
  if (!IsFileToPut(directory)) return false;
  const std::string text = ReadSettingsFile(AutoConf(directory));
  const std::string origin_text = ReadSettingsFile(OriginAutoConf(directory));
  const std::string next_text = WithChanges(origin_text, FirstStartAutoConf(directory), text);
  if (next_text != ReadSettingsFile(NextAutoConf(directory))) {
    WriteOwnedFile(NextAutoConf(directory), next_text, directory);
  }
  RenameDurably(NextAutoConf(directory), AutoConf(directory));
  SyncDirectory(InStageFolder(directory, "."));
  return true;
}

}  // namespace backup_ext
