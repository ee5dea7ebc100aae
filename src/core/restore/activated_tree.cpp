// What changes inside a stage when it becomes a server's data directory, and the way back.
#include "restore/activated_tree.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "restore/configuration.h"
#include "restore/first_start.h"
#include "restore/owned_file.h"
#include "restore/settings_file.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"
#include "restore/tablespace_links.h"

namespace backup_ext {
namespace {

std::string StagedConfiguration(const std::string& directory) {
  return InStageFolder(directory, "staged.postgresql.conf");
}
std::string ServedNote(const std::string& directory) { return InStageFolder(directory, "served"); }
std::string ActivatedMarker(const std::string& directory) {
  return InStageFolder(directory, "activated.json");
}

void Move(const std::string& from, const std::string& to) {
  RenameDurably(from, to);
  SyncDirectory(ParentDirectory(from));
}

void CopyIfMissing(const std::string& directory, const std::string& from, std::string_view name) {
  const std::string to = fmt::format("{}/{}", directory, name);
  if (from.empty() || StatLink(to)) return;
  WriteOwnedFile(to, ReadSettingsFile(JoinPath(directory, from)), directory);
}

void PutConfiguration(const std::string& directory, ConfigurationFate fate) {
  const auto note = ReadConfigurationNote(directory);
  if (!note) return;
  if (fate == ConfigurationFate::kKeep) {
    CopyIfMissing(directory, note->hba_file, "pg_hba.conf");
    CopyIfMissing(directory, note->ident_file, "pg_ident.conf");
    return;
  }
  const std::string path = directory + "/postgresql.conf";
  if (!StatLink(StagedConfiguration(directory)) && StatLink(path)) {
    Move(path, StagedConfiguration(directory));
  }
  if (fate == ConfigurationFate::kOriginal) {
    WriteOwnedFile(path, ReadSettingsFile(JoinPath(directory, note->original)), directory);
  }
}

void MoveTablespaces(const std::string& from, const std::string& to, const std::string& directory) {
  if (from.empty()) return;
  if (StatLink(from) && !StatLink(to)) Move(from, to);
  LeadTablespacesTo(directory, from, to);
}

}  // namespace

void MoveTablespacesOut(const ActivationJournal& journal, const std::string& directory) {
  MoveTablespaces(journal.tablespaces_from, journal.tablespaces_to, directory);
}

void MoveTablespacesBack(const ActivationJournal& journal, const std::string& directory) {
  MoveTablespaces(journal.tablespaces_to, journal.tablespaces_from, directory);
}

void TakeGuardsAway(const std::string& directory, ConfigurationFate fate) {
  const std::string path = directory + "/postgresql.auto.conf";
  const std::string origin_text = ReadSettingsFile(OriginAutoConf(directory));
  if (!StatLink(GuardedAutoConf(directory))) {
    WriteOwnedFile(GuardedAutoConf(directory), ReadSettingsFile(path), directory);
  }
  PutConfiguration(directory, fate);
  if (StatLink(directory + "/recovery.signal")) {
    WriteOwnedFile(NextAutoConf(directory), origin_text, directory);
    WriteOwnedFile(path, FirstStartAutoConf(directory), directory);
  } else {
    WriteOwnedFile(path, origin_text, directory);
  }
}

void GiveGuardsBack(const std::string& directory, AfterUse use) {
  if (!StatLink(GuardedAutoConf(directory))) return;
  if (use == AfterUse::kServed && !RepeatFirstRecovery(directory)) FinishFirstStart(directory);
  const std::string path = directory + "/postgresql.auto.conf";
  const std::string guarded_text = ReadSettingsFile(GuardedAutoConf(directory));
  const std::string text = ReadSettingsFile(path);
  const bool recovered = !StatLink(NextAutoConf(directory));
  if (use == AfterUse::kServed && recovered && text != guarded_text) {
    WriteOwnedFile(OriginAutoConf(directory), text, directory);
  }
  WriteOwnedFile(path, guarded_text, directory);
  if (StatLink(StagedConfiguration(directory))) {
    Move(StagedConfiguration(directory), directory + "/postgresql.conf");
  }
  RemoveFile(NextAutoConf(directory));
  RemoveFile(GuardedAutoConf(directory));
  SyncDirectory(InStageFolder(directory, "."));
}

void TakeMarkerAway(const std::string& directory) {
  if (StatLink(StageMarkerPath(directory))) {
    Move(StageMarkerPath(directory), ActivatedMarker(directory));
  }
}

void GiveMarkerBack(const std::string& directory, AfterUse use) {
  if (StatLink(ActivatedMarker(directory))) {
    if (use == AfterUse::kServed) WriteOwnedFile(ServedNote(directory), {}, directory);
    Move(ActivatedMarker(directory), StageMarkerPath(directory));
  }
}

bool HasServed(const std::string& directory) { return StatLink(ServedNote(directory)).has_value(); }

void MarkReplaced(const ActivationJournal& journal, const std::string& directory) {
  MakeOwnedDirectory(fmt::format("{}/{}", directory, kStageFolder), directory);
  const StageMarker marker = {.stage_id = journal.stage_id,
                              .backup_id = {},
                              .directory = directory,
                              .socket_directory = {},
                              .repository_created_at = 0,
                              .role = StageRole::kReplaced,
                              .tablespaces = {},
                              .media_directory = {},
                              .earlier_media = {}};
  WriteOwnedFile(StageMarkerPath(directory), EncodeStageMarker(marker), directory);
}

void UnmarkReplaced(const std::string& directory) {
  const auto marker = ReadStageMarker(directory);
  if (!marker || marker->role != StageRole::kReplaced) return;
  RemoveFile(StageMarkerPath(directory));
  const std::string folder = fmt::format("{}/{}", directory, kStageFolder);
  SyncDirectory(folder);
  // It may be of an earlier activation, and hold more.
  if (rmdir(folder.c_str()) == 0) SyncDirectory(directory);
}

}  // namespace backup_ext
