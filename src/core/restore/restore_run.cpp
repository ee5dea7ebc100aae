// A staged restore: store -> a new directory beside the running server.
#include "restore/restore_run.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "restore/configuration.h"
#include "restore/earlier_stage.h"
#include "restore/last_steps.h"
#include "restore/plan.h"
#include "restore/postgres_manifest.h"
#include "restore/replayed_tablespaces.h"
#include "restore/running_server.h"
#include "restore/shell_quote.h"
#include "restore/stage_files.h"
#include "restore/stage_marker.h"
#include "restore/stage_tree.h"
#include "restore/sync_tree.h"
#include "restore/take_over.h"
#include "restore/target_place.h"
#include "restore/write_files.h"
#include "store/hold.h"

namespace backup_ext {
namespace {

std::string StartCommand(const StageOptions& options, const std::string& directory) {
  const std::string program =
      options.bin_directory.empty() ? "pg_ctl" : options.bin_directory + "/pg_ctl";
  return fmt::format("{} -D {} -l {} -w start", ShellQuote(program), ShellQuote(directory),
                     ShellQuote(fmt::format("{}/{}/server.log", directory, kStageFolder)));
}

// In the stage it goes with it; in /tmp the name must be new, for anybody can write there.
void MakeSocketDirectory(const StageTree& tree, const StageMarker& marker,
                         const std::optional<FileOwner>& owner) {
  if (marker.socket_directory != ShortSocketDirectory(marker.stage_id)) {
    tree.MakeDirectory(fmt::format("{}/socket", kStageFolder), 0700);
    return;
  }
  const char* path = marker.socket_directory.c_str();
  if (mkdir(path, 0700) != 0 || (owner && lchown(path, owner->uid, owner->gid) != 0)) {
    throw SystemError(fmt::format("create directory \"{}\"", path), errno);
  }
}

class StagedRestore {
 public:
  StagedRestore(const Repository& repository, const BackupRecord& record,
                const StageOptions& options, Progress* progress,
                const std::function<void()>& pause_point)
      : repository_(repository),
        record_(record),
        options_(options),
        threads_(std::max(1, options.threads)),
        progress_(progress),
        pause_point_(pause_point),
        tree_(CleanDirectoryPath(options.directory)) {}

  RestorePlan Check() {
    progress_->Enter(Phase::kChecking);
    const std::string media_directory = options_.media_directory.empty()
                                            ? MediaDirectory(tree_.directory())
                                            : CleanDirectoryPath(options_.media_directory);
    earlier_ = FindEarlierStage(tree_.directory(), repository_, media_directory);
    if (earlier_) tree_.TakeOver(earlier_->directories);
    CheckPlace();
    if (options_.media == MediaChoice::kInclude) marker_.media_directory = media_directory;
    RestorePlan plan = MakePlan(repository_, record_, pause_point_);
    const std::map<uint32_t, std::string> places =
        MappedTablespaces(options_.mapping, plan.tablespace_origins);
    CheckTablespacePlaces(tree_.directory(), places, options_.forbidden, EarlierDirectories());
    if (options_.media == MediaChoice::kInclude) {
      CheckMediaPlace(places);
      media_ = MakeMediaPlan(repository_, record_, pause_point_);
    }
    CheckFreeSpace(tree_.directory(), record_, plan, places,
                   earlier_ ? OccupiedBytes(*earlier_, pause_point_) : std::map<dev_t, uint64_t>(),
                   {marker_.media_directory, media_.room_bytes});
    tree_.PlaceMedia(marker_.media_directory);
    tree_.PlaceTablespaces(places);
    for (const auto& [oid, place] : places) marker_.tablespaces.push_back(place);
    return plan;
  }

  StageResult Run() {
    RestorePlan plan = Check();
    ScopeExit abandon([this] { Abandon(); });
    try {
      Write(std::move(plan));
    } catch (const Error& error) {
      throw TellingHowToContinue(error);
    }
    abandon.Release();

    progress_->Enter(Phase::kFinished);
    return {progress_->bytes_done,
            progress_->files_done,
            kept_bytes_,
            StartCommand(options_, tree_.directory()),
            marker_.socket_directory,
            marker_.media_directory,
            written_media_,
            UnusedMedia()};
  }

 private:
  void CheckPlace() {
    if (!IsStageId(options_.stage_id)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is not the id of a stage", options_.stage_id));
    }
    CheckTargetPlace(tree_.directory(), options_.forbidden, EarlierDirectories());
    marker_ = {options_.stage_id,
               record_.backup_id,
               tree_.directory(),
               SocketDirectory(tree_.directory(), options_.stage_id, options_.port),
               repository_.identity().created_at,
               StageRole::kStaged,
               {},
               true,
               {},
               {}};
  }

  void CheckMediaPlace(const std::map<uint32_t, std::string>& tablespaces) {
    if (!HasMedia(record_)) {
      throw Error(ErrorCode::kNotFound, fmt::format("backup {} holds no media", record_.backup_id),
                  "It was taken without them.",
                  "Restore it without media, or choose a backup whose media_bytes is not 0.");
    }
    std::vector<std::string> forbidden = options_.forbidden;
    forbidden.push_back(tree_.directory());
    forbidden.push_back(tree_.tablespaces_directory());
    for (const auto& [oid, place] : tablespaces) forbidden.push_back(place);
    CheckTargetPlace(marker_.media_directory, forbidden, EarlierDirectories());
  }

  [[nodiscard]] std::vector<std::string> EarlierDirectories() const {
    return earlier_ ? earlier_->directories : std::vector<std::string>();
  }

  // Media of the earlier stage that are not where this one's are.
  [[nodiscard]] std::vector<std::string> UnusedMedia() const {
    std::vector<std::string> media = earlier_ ? earlier_->media : std::vector<std::string>();
    std::erase(media, marker_.media_directory);
    return media;
  }

  // From the first write on the stage is known as this one, unfinished; until it is finished, all
  // places of the earlier one are known too.
  void BeginStage(const RestorePlan& plan, const std::optional<FileOwner>& owner) {
    tree_.Claim(plan.tablespaces, owner);
    StageMarker marker = marker_;
    if (earlier_) {
      CheckNotRunning(tree_.directory(), fmt::format("restore into \"{}\"", tree_.directory()));
      marker.earlier_media = UnusedMedia();
      for (const std::string& place : earlier_->tablespaces) {
        if (std::ranges::find(marker.tablespaces, place) == marker.tablespaces.end()) {
          marker.tablespaces.push_back(place);
        }
      }
    }
    tree_.WriteMarkers(EncodeStageMarker(marker));
    is_begun_ = true;
    if (earlier_) TakeOverStage(repository_, record_, plan, tree_, *earlier_, pause_point_);
  }

  [[nodiscard]] Error TellingHowToContinue(const Error& error) const {
    if (!earlier_ || !is_begun_) return error;
    const char* const which = error.code() == ErrorCode::kDamaged ? "another backup " : "";
    Error explained(
        error.code(), error.message(), error.detail(),
        fmt::format("{}{}The stage is not finished: restore {}into \"{}\" again to "
                    "continue it, or remove it.",
                    error.hint(), error.hint().empty() ? "" : " ", which, tree_.directory()));
    explained.set_sql_state(error.sql_state());
    return explained;
  }

  void Write(RestorePlan plan) {
    progress_->Enter(Phase::kWriting);
    progress_->bytes_total = plan.bytes + media_.bytes;
    progress_->files_total = plan.files + media_.files;
    const std::optional<FileOwner> owner = OwnerToGive(plan);
    BeginStage(plan, owner);
    MakeSocketDirectory(tree_, marker_, owner);
    socket_made_ = true;
    MakeFixedDirectories(tree_, record_);

    PostgresManifest manifest(&tree_, record_);
    const std::string folder = plan.has_configuration_folder
                                   ? fmt::format("{}.{}", kConfigurationFolder, options_.stage_id)
                                   : std::string(kConfigurationFolder);
    CapturedFiles captured =
        WriteFiles({&repository_, &record_, &plan, &tree_, &manifest, folder, threads_}, progress_,
                   pause_point_);
    kept_bytes_ = captured.kept_bytes;
    CheckControlFile(captured.control_file, record_);
    DetachTablespaces(&plan);
    WriteArchiveStatus(tree_, plan.wal);
    WriteConfiguration(tree_, record_, folder, &captured, &manifest);
    marker_.building = false;
    tree_.WriteMarkers(EncodeStageMarker(marker_));
    WriteStageFiles(tree_, record_, plan, marker_, options_.port, captured, &manifest);
    manifest.Add("global/pg_control", AsText(captured.control_file));
    manifest.Finish();

    if (options_.media == MediaChoice::kInclude) {
      progress_->Enter(Phase::kWritingMedia);
      written_media_ =
          WriteMedia({&repository_, &record_, tree_.media_fd(), marker_.media_directory, threads_},
                     progress_, pause_point_);
    }
    progress_->Enter(Phase::kSyncing);
    if (options_.media == MediaChoice::kInclude)
      SyncMedia(tree_.media_fd(), marker_.media_directory);
    SyncTree(tree_, threads_, pause_point_);
    WriteControlFile(tree_, captured.control_file);
    tree_.OpenToOwner(plan.group_access ? 0750 : 0700);
  }

  // Those that the replay of WAL makes get a place of the stage's own, like all others.
  void DetachTablespaces(RestorePlan* plan) {
    const ReplayedTablespaces replayed =
        DetachReplayedTablespaces(tree_, record_, plan->wal, pause_point_);
    plan->has_in_place_tablespace |= replayed.has_in_place;
    (void)tree_.AddTablespaces(replayed.linked);  // their markers come with the last ones
  }

  // An unfinished stage is one that no server can start on.
  void Abandon() {
    if (!earlier_ || !is_begun_) tree_.Abandon();
    if (socket_made_ && marker_.socket_directory == ShortSocketDirectory(marker_.stage_id)) {
      RemoveTree(marker_.socket_directory);
    }
    if (earlier_ && is_begun_) RemoveControlFile(tree_);
  }

  const Repository& repository_;
  const BackupRecord& record_;
  const StageOptions& options_;
  const int threads_;
  Progress* progress_;
  const std::function<void()>& pause_point_;
  StageTree tree_;
  StageMarker marker_;
  std::optional<EarlierStage> earlier_;
  bool is_begun_ = false;
  uint64_t kept_bytes_ = 0;
  MediaPlan media_;
  MediaResult written_media_;
  bool socket_made_ = false;
};

}  // namespace

void CheckStage(const Repository& repository, const BackupRecord& record,
                const StageOptions& options, const std::function<void()>& pause_point) {
  Progress progress;
  try {
    (void)StagedRestore(repository, record, options, &progress, pause_point).Check();
  } catch (const Error& error) {
    throw NamingTheBackup(record, error);
  }
}

StageResult RestoreToStage(const Repository& repository, const BackupRecord& record,
                           const StageOptions& options, Progress* progress,
                           const std::function<void()>& pause_point) {
  const BackupHold hold = BackupHold::Take(repository, record.backup_id);
  try {
    return StagedRestore(repository, record, options, progress, pause_point).Run();
  } catch (const Error& error) {
    throw NamingTheBackup(record, error);
  }
}

}  // namespace backup_ext
