// How far a job is, as others see it. Plain data only: errors jump through these frames.
#include "progress_view.h"

#include <algorithm>
#include <cstring>

namespace backup_ext {
namespace {

constexpr int kFirstNoticeMs = 3000;
constexpr int kNoticePauseMs = 5000;

// Until the worker has measured one: the mean since the job began.
uint64 Rate(const JobSlot* slot, TimestampTz started_at, uint64 bytes_done) {
  const uint64 measured = slot->bytes_per_second;
  const double seconds = static_cast<double>(GetCurrentTimestamp() - started_at) / USECS_PER_SEC;
  if (measured > 0 || seconds <= 0) return measured;
  return static_cast<uint64>(static_cast<double>(bytes_done) / seconds);
}

void Estimate(ProgressView* view) {
  view->percent = -1;
  view->left_seconds = -1;
  if (view->bytes_total == 0) return;
  const uint64 done = std::min(view->bytes_done, view->bytes_total);
  view->percent = 100.0 * static_cast<double>(done) / static_cast<double>(view->bytes_total);
  // Nothing is left to do for what is not counted in bytes: fsync, the commit.
  if (view->bytes_per_second == 0 || done == view->bytes_total) return;
  view->left_seconds = static_cast<int64>((view->bytes_total - done) / view->bytes_per_second);
}

const char* Size(uint64 bytes) {
  return text_to_cstring(DatumGetTextPP(
      DirectFunctionCall1(pg_size_pretty, Int64GetDatum(static_cast<int64>(bytes)))));
}

}  // namespace

bool ViewProgress(int index, ProgressView* view) {
  SharedState* const shared = GetSharedState();
  const JobSlot* const slot = &shared->jobs[index];
  LWLockAcquire(shared->lock, LW_SHARED);
  const bool live = IsLive(*slot);
  std::memcpy(view->job_id, slot->request.job_id, kIdRoom);
  std::memcpy(view->backup_id, slot->request.backup_id, kIdRoom);
  std::memcpy(view->stage_id, slot->request.stage_id, kIdRoom);
  view->kind = slot->request.kind;
  view->pid = slot->worker_pid;
  view->started_at = slot->started_at;
  LWLockRelease(shared->lock);
  if (!live) return false;
  view->phase = slot->progress.phase;
  view->bytes_done = slot->progress.bytes_done;
  view->bytes_total = slot->progress.bytes_total;
  view->files_done = slot->progress.files_done;
  view->files_total = slot->progress.files_total;
  view->slowed_by = slot->slowed_by;
  view->bytes_per_second = Rate(slot, view->started_at, view->bytes_done);
  Estimate(view);
  return true;
}

void DescribeSlowing(uint32_t slowed_by, char* text, size_t room) {
  static constexpr struct {
    SlowedBy bit;
    const char* name;
  } kNames[] = {{kSlowedByMaxRate, "max_rate"},
                {kSlowedByReplicationLag, "replication lag"},
                {kSlowedByCommitLatency, "commit latency"},
                {kSlowedByActiveBackends, "active backends"},
                {kSlowedByBusyProcessors, "busy processors"},
                {kSlowedByWindowEnd, "window_end"}};
  text[0] = '\0';
  for (const auto& [bit, name] : kNames) {
    if ((slowed_by & bit) == 0) continue;
    const size_t length = std::strlen(text);
    snprintf(text + length, room - length, "%s%s", length == 0 ? "" : ", ", name);
  }
}

void ShowProgress(int slot, ProgressNotices* notices) {
  ProgressView view;
  if (!ViewProgress(slot, &view)) return;
  const TimestampTz now = GetCurrentTimestamp();
  const TimestampTz since = notices->last == 0 ? view.started_at : notices->last;
  const int pause_ms = notices->last == 0 ? kFirstNoticeMs : kNoticePauseMs;
  if (!TimestampDifferenceExceeds(since, now, pause_ms)) return;
  notices->last = now;
  char amount[160] = "";
  char left[48] = "";
  char slowing[128];
  if (view.percent >= 0) {
    snprintf(amount, sizeof(amount), ", %.0f %% (%s of %s), %s/s", view.percent,
             Size(view.bytes_done), Size(view.bytes_total), Size(view.bytes_per_second));
  }
  if (view.left_seconds >= 0)
    snprintf(left, sizeof(left), ", " INT64_FORMAT " s left", view.left_seconds);
  DescribeSlowing(view.slowed_by, slowing, sizeof(slowing));
  ereport(NOTICE,
          (errmsg("%s %s: %s%s%s%s%s", OperationName(view.kind),
                  view.stage_id[0] != '\0' ? view.stage_id : view.backup_id, PhaseName(view.phase),
                  amount, left, slowing[0] == '\0' ? "" : ", slowed by ", slowing)));
}

}  // namespace backup_ext
