// A backup, seen from the server.
#include "backup_job.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "backup/backup_run.h"
#include "backup/finish.h"
#include "backup/media_run.h"
#include "backup/missing_tablespaces.h"
#include "base/file.h"
#include "base/machine.h"
#include "store/catalog.h"
#include "store/lock.h"
#include "store/repository.h"

#include "backup_access.h"
#include "backup_mode.h"
#include "backup_parents.h"
#include "backup_report.h"
#include "cluster_state.h"
#include "guard.h"
#include "media_job.h"
#include "other_server.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "progress_meter.h"
#include "retention_job.h"
#include "server_facts.h"
#include "throttle.h"
#include "timestamp.h"
#include "wal_collector.h"

namespace backup_ext {
namespace {

constexpr uint64_t kConfigurationLimitBytes = 16 * 1024 * 1024;
constexpr int kPauseMs = 20;
// Nothing can be done while the server waits for its checkpoint.
constexpr int64_t kCheckpointMarginSeconds = 300;

void RequireWalLevel() {
  if (XLogIsNeeded()) return;
  throw Error(ErrorCode::kNotInPrerequisiteState, "cannot take a backup while wal_level is minimal",
              "WAL of that level does not hold what a restored copy needs to become consistent.",
              "Set wal_level to replica (and max_wal_senders above 0) and restart the server.");
}

void AddTextFile(BackupRun* run, FileKind kind, const std::string& path, ByteSpan content) {
  SuppliedFile file;
  file.file_kind = kind;
  file.path = path;
  file.content.assign(content.begin(), content.end());
  run->AddSuppliedFile(std::move(file));
}

void AddConfiguration(BackupRun* run) {
  int number = 0;
  for (const std::string& origin : OutsideConfigurationFiles()) {
    SuppliedFile file;
    file.kind = EntryKind::kConfiguration;
    file.path = fmt::format("etc/{}-{}", number++, BaseName(origin));
    file.link_target = origin;
    try {
      file.content = ReadWholeFile(origin, kConfigurationLimitBytes);
    } catch (const Error& error) {
      const std::string text = error.message();
      const char* const message = text.c_str();
      CallPostgresUninterrupted([&] {
        ereport(WARNING, (errmsg("configuration file is not in the backup: %s", message)));
      });
      continue;
    }
    run->AddSuppliedFile(std::move(file));
  }
}

// What a cancelled run had stored is not stored again by the next one.
void KeepInterrupted(BackupRun* run, MediaRun* media, const Repository& repository,
                     const WriterLock& lock, bool in_recovery, BackupRecord* record) {
  try {
    record->stop_lsn = NewestWalPosition(in_recovery);
    const auto kept = media == nullptr ? std::nullopt : media->KeepInterrupted();
    if (kept) run->AddMedia(*kept);
    if (!run->KeepInterrupted(record, lock)) return;
    if (media != nullptr) media->Release();
    RememberBackup(repository, record->backup_id);
    LogInterruptedBackup(*record);
  } catch (const Error& error) {
    WarnNotKept(*record, error);
  }
}

// A row in pg_stat_progress_basebackup for as long as it lives.
class Mirror {
 public:
  Mirror() {
    const int tablespaces = static_cast<int>(ClusterDirectories().size());
    CallPostgresUninterrupted([tablespaces] { BeginMirror(tablespaces); });
  }
  ~Mirror() { EndMirror(); }
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;
};

BackupRecord NewRecord(const BackupJob& job, const ClusterFacts& facts) {
  BackupRecord record;
  record.backup_id = job.backup_id;
  record.label = job.label;
  record.trigger = job.trigger;
  record.state = "complete";
  record.started_at = Now();
  FillServerFields(facts, &record);
  return record;
}

// The backup is there: what fails now is for the next one to do.
void DropLeftovers(const Repository& repository, WriterLock* lock, JobSlot& slot) {
  try {
    DropInterrupted(repository, [&] {
      PausePoint(slot);
      lock->Renew();
    });
  } catch (const Error& error) {
    // A cancel comes too late for the backup.
    const std::string text = fmt::format(
        "backup_ext: removing what interrupted backups left ended early: {}", error.message());
    const char* const message = text.c_str();
    CallPostgresUninterrupted(
        [&] { ereport(error.is_cancel() ? LOG : WARNING, (errmsg_internal("%s", message))); });
  }
}

// That somebody else has it is no failure of the schedule: the backup that is due may be his.
std::unique_ptr<WriterLock> LockRepository(const BackupJob& job, const Repository& repository,
                                           JobSlot* slot) {
  try {
    return WriterLock::Acquire(
        repository, fmt::format("backup {} (PID {} on {})", job.backup_id, MyProcPid, HostName()),
        [slot] { PausePoint(*slot); });
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kLocked) slot->locked_out = true;
    throw;
  }
}

// Two servers may look at the same moment; the second one gets the lock when the first has
// finished. Only a backup that came while this one was about to begin: older ones the launcher has
// judged.
void ThrowIfTakenMeanwhile(const BackupJob& job, const Catalog& catalog, JobSlot* slot) {
  constexpr Microseconds kClocksDiffer = 600 * kMicrosecondsPerSecond;
  if (job.window_opened_at == 0) return;
  const Microseconds asked_at = FromTimestamp(slot->started_at);
  for (const BackupRecord& record : catalog.backups) {
    const bool is_own = record.host == HostName() && record.data_directory == DataDir;
    if (is_own || record.state != "complete" || record.started_at < job.window_opened_at ||
        record.finished_at < asked_at - kClocksDiffer) {
      continue;
    }
    slot->locked_out = true;
    throw Error(
        ErrorCode::kLocked,
        fmt::format("the backup of this window was taken by another server: {}", record.backup_id));
  }
}

// Everything between the beginning of backup mode and the commit.
void CopyAll(const StartedBackup& started, const ClusterFacts& facts, BackupRun* run,
             BackupAccess* access, WalCollector* wal, BackupMode* mode, MediaRun* media,
             BackupRecord* record, JobSlot* slot) {
  run->CopyCluster(started.start_lsn);
  AddTextFile(run, FileKind::kControlFile, XLOG_CONTROL_FILE, ReadControlFileUnderLock());

  slot->progress.Enter(Phase::kWaitingForWal);
  // The last moment at which all that was copied can be kept for the next one.
  ThrowIfJobMustEnd(*slot);
  const StoppedBackup stopped = mode->End();
  wal->Complete(run, stopped.stop_lsn, stopped.timeline, [&] {
    access->PausePoint();
    pg_usleep(kPauseMs * 1000L);
  });
  wal->Release();
  for (const HistoryFile& history : ReadTimelineHistories(facts.data_directory)) {
    AddTextFile(run, FileKind::kTimelineHistory, "pg_wal/" + history.name, history.content);
  }
  AddTextFile(run, FileKind::kOther, "backup_label", AsBytes(started.label_file));
  AddConfiguration(run);

  record->timeline = stopped.timeline;
  record->stop_lsn = stopped.stop_lsn;
  record->wal_ranges = wal->Ranges(stopped.stop_lsn, stopped.timeline);
  wal->CheckComplete(*record);
  // Rows that the backup holds may name files that came after the first look.
  if (media != nullptr) {
    media->CopyAgain();
    run->AddMedia(media->Finish());
  }
}

// Somebody waits for a restore, and for its safety backup before it.
bool IsUrgent(const BackupJob& job) { return job.trigger == "safety"; }

// From the begin of backup mode to the end of all: the media have been looked at once.
void BackUpCluster(const BackupJob& job, const ClusterFacts& facts, const Repository& repository,
                   const Catalog& catalog, WriterLock* lock, BackupAccess* access, MediaRun* media,
                   BackupRecord record, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  // Cancelled before this process had taken its slot: no signal was sent then.
  ThrowIfJobMustEnd(*slot);
  slot->progress.Enter(Phase::kWaitingForCheckpoint);
  MirrorProgress(*slot);
  HoldWal();
  lock->RenewFor(CheckPointTimeout + kCheckpointMarginSeconds);
  BackupMode mode;
  const StartedBackup started = mode.Begin(
      "backup_ext " + job.backup_id,
      job.fast_checkpoint ? BackupMode::Checkpoint::kFast : BackupMode::Checkpoint::kSpread);

  record.start_lsn = started.start_lsn;
  record.checkpoint_lsn = started.checkpoint_lsn;
  record.timeline = started.timeline;
  const ChosenParents chosen =
      ChooseOwnParents(job, repository, catalog, facts, started, &record, slot);
  std::string no_summaries;
  const auto changes = ReadOwnChanges(facts, started, chosen, slot, &no_summaries);
  LogParents(record, chosen, no_summaries);

  WalCollector wal(facts, started.start_lsn, started.timeline);
  BackupRun run(repository, facts,
                {.backup_id = job.backup_id,
                 .threads = WorkerThreads(settings),
                 .priority = IsUrgent(job) ? ThreadPriority::kNormal : ThreadPriority::kLow,
                 .compression_level = settings.compression_level,
                 .max_bytes_per_second = settings.max_bytes_per_second,
                 .begun_at = record.started_at,
                 .parents = chosen.parents,
                 .audited = chosen.audited,
                 .changes = changes ? &*changes : nullptr,
                 .untouched_margin = BelievedMargin(chosen),
                 .is_beside_media = media != nullptr},
                access, &slot->progress);
  access->Attach(&run, &wal);
  try {
    CopyAll(started, facts, &run, access, &wal, &mode, media, &record, slot);
    // Before the commit: what is known must not be lost when the server goes down now.
    ReportAudit(repository, chosen, run, slot);
    run.Finish(&record, *lock);
  } catch (const Error& error) {
    ReportAudit(repository, chosen, run, slot);
    if (error.is_cancel()) {
      KeepInterrupted(&run, media, repository, *lock, facts.in_recovery, &record);
    }
    throw;
  }
  if (media != nullptr) media->Commit();
  RememberBackup(repository, record.backup_id);
  DropLeftovers(repository, lock, *slot);
  WarnOf(run.warnings());
  if (media != nullptr) WarnOf(media->warnings());
  ReportDamage(run.damaged_pages(), record, slot);
  if (slot->warning[0] == '\0') ShowToCaller(DescribeUnreadable(record.media), slot);
  LogBackupEnd(record);
  KeepFigures(record, slot);
  ExpireAfterBackup(repository, lock, record, slot);
  slot->progress.Enter(Phase::kFinished);
}

}  // namespace

void RunBackup(const BackupJob& job, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  LogBackupStart(job, settings);
  const Mirror mirror;
  const std::string location = RequireRepository(settings);
  RequireWalLevel();
  RequireReplicationSlots();
  const ClusterFacts facts = ReadClusterFacts();
  CheckLocation(location, DirectoriesToBackUp());
  const Repository repository = OpenRepositoryOfBackup(location);
  const std::unique_ptr<WriterLock> lock = LockRepository(job, repository, slot);
  const Catalog catalog = ReadCatalog(repository);
  CheckNoOtherServer(repository, catalog);
  ThrowIfTakenMeanwhile(job, catalog, slot);
  SweepUnreferenced(repository, [&] {
    PausePoint(*slot);
    lock->Renew();
  });
  CheckTablespacesAreThere(facts, [slot] {
    PausePoint(*slot);
    pg_usleep(kPauseMs * 1000L);
  });
  const BackupRecord record = NewRecord(job, facts);

  BackupAccess access(
      facts, lock.get(), slot,
      IsUrgent(job) ? Throttle::Manners::kMaxRateOnly : Throttle::Manners::kMakeRoom);
  const std::unique_ptr<MediaRun> media =
      BeginMedia(job, repository, catalog, facts.system_identifier, &access, slot);
  if (media != nullptr) {
    access.Attach(media.get());
    CopyMedia(media.get(), repository, *lock, record);
  }

  try {
    BackUpCluster(job, facts, repository, catalog, lock.get(), &access, media.get(), record, slot);
  } catch (const Error& error) {
    access.Attach(nullptr, nullptr);
    // A full disk needs the space more than the next backup needs what took it.
    if (media != nullptr && !media->is_released() && error.code() != ErrorCode::kNoSpace) {
      KeepMedia(media.get(), repository, *lock, record);
    }
    throw;
  }
}

}  // namespace backup_ext
