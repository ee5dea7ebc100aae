// The history of runs as the server keeps it.
#include "run_history.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "cluster/contents.h"
#include "store/catalog.h"
#include "store/history.h"

#include "guard.h"
#include "postgres_headers.h"
#include "settings.h"
#include "shared_state.h"
#include "stage_job.h"

namespace backup_ext {
namespace {

constexpr uint64_t kReportLimitBytes = 1024 * 1024;
// Of runs that cannot be brought into the repository, so many are kept: three weeks of retries.
constexpr size_t kKeptHere = 1000;
constexpr Microseconds kKeptFor = 400LL * 24 * 3600 * kMicrosecondsPerSecond;

std::string RunsDirectory() {
  return JoinPath(JoinPath(DataDir, std::string(kOwnStateDirectory)), "runs");
}

std::string PathOf(const std::string& job_id) {
  return JoinPath(RunsDirectory(), job_id + ".json");
}

void Write(const RunReport& report) {
  MakeDirectories(RunsDirectory(), 0700);
  WriteFileDurably(PathOf(report.job_id), AsBytes(EncodeRunReport(report)));
}

std::set<std::string> LiveJobs() {
  char ids[kMaxJobs][kIdRoom];
  int count = 0;
  CallPostgresUninterrupted([&] {
    SharedState* const shared = GetSharedState();
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const JobSlot& slot : shared->jobs) {
      if (IsLive(slot)) memcpy(ids[count++], slot.request.job_id, kIdRoom);
    }
    LWLockRelease(shared->lock);
  });
  return {ids, ids + count};
}

// A copy of the data directory (a standby, a clone) brought the unfinished runs of its origin.
bool IsOwn(const RunReport& report) {
  return report.data_directory == DataDir && report.host == HostName();
}

// What lies here of runs that are over, oldest first; "running": its process died. Files that
// cannot be read are left out.
std::vector<RunReport> RunsHere() {
  std::vector<RunReport> reports;
  const auto entries = ReadDirectory(RunsDirectory());
  if (!entries) return reports;
  // In this order: a job that begins after the look at the directory is not seen at all, and one
  // that ends after the look at the jobs has written its end.
  const std::set<std::string> live = LiveJobs();
  for (const DirectoryEntry& entry : *entries) {
    try {
      const Bytes text = ReadWholeFile(JoinPath(RunsDirectory(), entry.name), kReportLimitBytes);
      RunReport report = DecodeRunReport(AsText(text));
      if (!IsOwn(report)) continue;
      if (report.result == "running" && live.contains(report.job_id)) continue;
      reports.push_back(std::move(report));
    } catch (const Error&) {
      // Another process has brought it into the repository, or a crash cut it.
    }
  }
  std::ranges::stable_sort(reports, {}, &RunReport::started_at);
  return reports;
}

// What a run was whose process died. It may have come as far as its commit: then what follows that
// was cut short.
void ConcludeDied(const Repository* repository, RunReport* report) {
  if (report->result != "running") return;
  if (repository != nullptr && report->operation == "backup") {
    try {
      const BackupRecord record = FindBackup(*repository, report->backup_id);
      report->result = "succeeded";
      report->kind = record.kind;
      report->finished_at = record.finished_at;
      report->database_bytes = record.database_bytes;
      report->stored_bytes = record.stored_bytes;
      report->files = record.files;
      report->hint =
          "The process that did it ended unexpectedly after the backup was complete; what was "
          "left to do, such as removing old backups, the next backup does.";
      return;
    } catch (const Error&) {
      // There is none, or none that anybody could restore.
    }
  }
  report->result = "failed";
  report->error = "the process that did it ended unexpectedly";
  report->hint = "More details may be available in the server log.";
}

void BringIntoRepository(std::vector<RunReport> reports) {
  try {
    // A copy keeps its own: the history of its origin is not its affair.
    const Repository repository = OpenOwnRepositoryToWrite();
    for (RunReport& report : reports) {
      ConcludeDied(&repository, &report);
      AddToHistory(repository, report);
      RemoveFile(PathOf(report.job_id));
    }
    PruneHistory(repository, Now() - kKeptFor);
    return;
  } catch (const Error&) {
    // The next run tries again.
  }
  for (size_t i = 0; i + kKeptHere < reports.size(); ++i) RemoveFile(PathOf(reports[i].job_id));
}

}  // namespace

void RememberBegin(const RunReport& report) noexcept {
  try {
    // Before this run removes a backup that a run which died had completed.
    if (auto earlier = RunsHere(); !earlier.empty()) BringIntoRepository(earlier);
  } catch (...) {
  }
  try {
    Write(report);
  } catch (...) {
    // A full disk, say: the run itself will tell.
  }
}

void RememberEnd(const RunReport& report) noexcept {
  try {
    Write(report);
  } catch (...) {
    // The repository may take it nevertheless.
    try {
      AddToHistory(OpenOwnRepositoryToWrite(), report);
    } catch (...) {
    }
  }
  try {
    BringIntoRepository(RunsHere());
  } catch (...) {
  }
}

std::vector<RunReport> RunsSince(Microseconds since, std::string* problem) {
  std::vector<RunReport> runs;
  std::set<std::string> known;
  // First here: what is brought into the repository meanwhile is then seen twice, not never.
  std::vector<RunReport> here = RunsHere();
  std::optional<Repository> repository;
  try {
    if (!CurrentSettings().repository.empty()) {
      repository.emplace(OpenOwnRepository());
      runs = ReadHistory(*repository, since);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoRepository) *problem = error.message();
  }
  for (const RunReport& report : runs) known.insert(report.job_id);
  for (RunReport& report : here) {
    ConcludeDied(repository ? &*repository : nullptr, &report);
    if (report.started_at >= since && !known.contains(report.job_id)) runs.push_back(report);
  }
  std::ranges::stable_sort(runs, std::ranges::greater(), &RunReport::started_at);
  return runs;
}

}  // namespace backup_ext
