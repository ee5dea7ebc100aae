// The small files that make a data directory a stage: marker, guards, signal, links, WAL status.
#include "restore/stage_files.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cluster/wal_file.h"
#include "restore/stage_settings.h"
#include "restore/tablespace_links.h"

namespace backup_ext {
namespace {

std::string ListedInStage(std::string_view name) {
  return fmt::format("{}/{}", kStageFolder, name);
}

void WriteTablespaceMap(const StageTree& tree, PostgresManifest* manifest) {
  if (tree.tablespaces().empty()) return;
  std::string map;
  for (const auto& [oid, fd] : tree.tablespaces()) {
    map += TablespaceMapLine(oid, tree.TablespacePath(oid));
  }
  WriteListed(tree, "tablespace_map", map, 0600, manifest);
  tree.LinkTablespaces();
}

}  // namespace

void MakeFixedDirectories(const StageTree& tree, const BackupRecord& record) {
  tree.MakeDirectory("pg_wal", 0700);
  tree.MakeDirectory("pg_wal/archive_status", 0700);
  if (record.server_version_num >= 170000) tree.MakeDirectory("pg_wal/summaries", 0700);
  tree.MakeDirectory("pg_tblspc", 0700);
}

void WriteArchiveStatus(const StageTree& tree, const WalFiles& wal) {
  for (const auto& [name, size] : wal) {
    if (name.find('/') != std::string::npos) continue;
    tree.WriteSmallFile(fmt::format("pg_wal/archive_status/{}.done", name), "", 0600);
  }
}

void WriteStageFiles(const StageTree& tree, const BackupRecord& record, const RestorePlan& plan,
                     const StageMarker& marker, int port, const CapturedFiles& captured,
                     PostgresManifest* manifest) {
  manifest->Add(ListedInStage("stage.json"), EncodeStageMarker(marker));
  for (const auto& [oid, fd] : tree.tablespaces()) {
    // Beside the stage one marker serves all, outside of what the manifest lists.
    if (ParentDirectory(tree.TablespacePath(oid)) == tree.tablespaces_directory()) continue;
    manifest->Add(fmt::format("pg_tblspc/{}/{}", oid, ListedInStage("stage.json")),
                  EncodeStageMarker(marker));
  }
  WriteListed(tree, ListedInStage("postgresql.auto.conf"), AsText(captured.auto_conf), 0600,
              manifest);
  WriteListed(tree, ListedInStage("pg_hba.conf"),
              "# The socket directory lets in nobody but the owner of this copy, and no network is "
              "listened on.\nlocal all all trust\n",
              0600, manifest);
  WriteListed(tree, ListedInStage("pg_ident.conf"), "# No user name maps.\n", 0600, manifest);

  GuardFacts facts;
  facts.stage_id = marker.stage_id;
  facts.directory = marker.directory;
  facts.socket_directory = marker.socket_directory;
  facts.port = port;
  facts.has_timeline_history = plan.wal.count(TimelineHistoryName(TargetTimeline(record))) != 0;
  facts.has_in_place_tablespace = plan.has_in_place_tablespace;
  tree.WriteSmallFile("postgresql.auto.conf",
                      StageAutoConf(AsText(captured.auto_conf), record, facts), 0600);
  tree.WriteSmallFile("recovery.signal", "", 0600);
  WriteTablespaceMap(tree, manifest);
}

}  // namespace backup_ext
