// An export as a data directory.
#include "restore/export_plain.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/file.h"
#include "restore/exported_configuration.h"
#include "restore/last_steps.h"
#include "restore/plan.h"
#include "restore/postgres_manifest.h"
#include "restore/replayed_tablespaces.h"
#include "restore/stage_files.h"
#include "restore/stage_tree.h"
#include "restore/sync_tree.h"
#include "restore/target_place.h"
#include "restore/write_files.h"

namespace backup_ext {
namespace {

void WriteConfigurationFiles(const StageTree& tree, const CapturedFiles& captured,
                             const ExportedConfiguration& configuration,
                             PostgresManifest* manifest) {
  if (captured.has_postgresql_conf) {
    WriteListed(tree, "postgresql.conf", AsText(captured.postgresql_conf),
                captured.postgresql_conf_mode, manifest);
  }
  for (const auto& [name, content] : configuration.Missing()) {
    WriteListed(tree, name, content, 0600, manifest);
  }
  tree.WriteSmallFile("postgresql.auto.conf", AsText(captured.auto_conf), 0600);
}

class PlainExport {
 public:
  PlainExport(const Repository& repository, const BackupRecord& record,
              const ExportOptions& options, Progress* progress,
              const std::function<void()>& pause_point)
      : repository_(repository),
        record_(record),
        options_(options),
        threads_(std::max(1, options.threads)),
        progress_(progress),
        pause_point_(pause_point),
        tree_(CleanDirectoryPath(options.directory)) {}

  ExportResult Run() {
    progress_->Enter(Phase::kChecking);
    CheckTargetPlace(tree_.directory(), options_.forbidden);
    RestorePlan plan = MakePlan(repository_, record_, pause_point_);
    const std::map<uint32_t, std::string> places =
        MappedTablespaces(options_.mapping, plan.tablespace_origins);
    CheckTablespacePlaces(tree_.directory(), places, options_.forbidden);
    CheckFreeSpace(tree_.directory(), record_, plan, places);
    tree_.PlaceTablespaces(places);
    ScopeExit abandon([this] { tree_.Abandon(); });
    Write(&plan);
    abandon.Release();
    progress_->Enter(Phase::kFinished);
    return {progress_->bytes_done, progress_->files_done, Tablespaces(plan)};
  }

 private:
  void Write(RestorePlan* plan) {
    progress_->bytes_total = plan->bytes;
    progress_->files_total = plan->files;
    progress_->Enter(Phase::kWriting);
    tree_.Claim(plan->tablespaces, OwnerToGive(*plan));
    MakeFixedDirectories(tree_, record_);

    PostgresManifest manifest(&tree_, record_);
    ExportedConfiguration configuration(&record_);
    const CapturedFiles captured =
        WriteFiles({&repository_, &record_, plan, &tree_, &manifest, "", threads_, &configuration},
                   progress_, pause_point_);
    CheckControlFile(captured.control_file, record_);
    // On the origin's own machine a server that replays its paths would write into its files.
    (void)tree_.AddTablespaces(
        DetachReplayedTablespaces(tree_, record_, plan->wal, pause_point_).linked);
    WriteArchiveStatus(tree_, plan->wal);
    WriteConfigurationFiles(tree_, captured, configuration, &manifest);
    // As pg_basebackup has it of a standby: without it recovery would not know where it may end.
    if (record_.from_standby) tree_.WriteSmallFile("standby.signal", "", 0600);
    manifest.Add("global/pg_control", AsText(captured.control_file));
    manifest.Finish();
    tree_.LinkTablespaces();

    progress_->Enter(Phase::kSyncing);
    SyncTree(tree_, threads_, pause_point_);
    tree_.RemoveStageFolders();
    WriteControlFile(tree_, captured.control_file);
    tree_.OpenToOwner(plan->group_access ? 0750 : 0700);
  }

  [[nodiscard]] std::vector<ExportedTablespace> Tablespaces(const RestorePlan& plan) const {
    std::vector<ExportedTablespace> tablespaces;
    for (const auto& [oid, fd] : tree_.tablespaces()) {
      const auto origin = plan.tablespace_origins.find(oid);
      tablespaces.push_back({oid, origin == plan.tablespace_origins.end() ? "" : origin->second,
                             tree_.TablespacePath(oid)});
    }
    return tablespaces;
  }

  const Repository& repository_;
  const BackupRecord& record_;
  const ExportOptions& options_;
  const int threads_;
  Progress* progress_;
  const std::function<void()>& pause_point_;
  StageTree tree_;
};

}  // namespace

ExportResult ExportPlain(const Repository& repository, const BackupRecord& record,
                         const ExportOptions& options, Progress* progress,
                         const std::function<void()>& pause_point) {
  return PlainExport(repository, record, options, progress, pause_point).Run();
}

}  // namespace backup_ext
