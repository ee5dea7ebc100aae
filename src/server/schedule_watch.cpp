// The schedule, as the launcher sees it at each look.
#include "schedule_watch.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "base/error.h"
#include "policy/calendar.h"
#include "policy/next_run.h"
#include "store/catalog.h"
#include "store/lock.h"

#include "guard.h"
#include "jobs.h"
#include "load_probe.h"
#include "postgres_headers.h"
#include "settings.h"
#include "shared_state.h"
#include "stage_job.h"
#include "timestamp.h"

namespace backup_ext {
Microseconds NewestGoodBackup(Microseconds now, ScheduleMemory* memory) {
  std::vector<Microseconds> starts;
  try {
    const Catalog catalog = ReadCatalog(OpenOwnRepository());
    for (const BackupRecord& record : catalog.backups) {
      if (record.state == "complete") starts.push_back(record.started_at);
    }
  } catch (const Error& error) {
    // A repository that does not exist yet is made by the first backup.
    if (error.code() != ErrorCode::kNoRepository) throw;
  }
  return NewestSuccess(starts, now, &memory->of_another_clock);
}

namespace {

// A window cannot have been missed before the schedule began, or before this server was the one to
// run it.
void WatchSchedule(const Settings& settings, bool in_recovery, ScheduleMemory* memory) {
  const char* zone = "";
  CallPostgres([&] { zone = pg_get_timezone_name(session_timezone); });
  std::string schedule =
      fmt::format("{} {} {} {} {} {}", settings.enabled, settings.repository.empty(),
                  static_cast<int>(settings.schedule.run_on), settings.schedule.timezone, zone,
                  settings.schedule.window_text);
  const bool runs_here = WhyNotHere(settings.schedule.run_on, in_recovery).empty();
  const bool is_first = memory->schedule.empty();
  const bool is_moved = !is_first && schedule != memory->schedule;
  const bool took_over = !is_first && runs_here && !memory->runs_here;
  memory->schedule = std::move(schedule);
  memory->runs_here = runs_here;
  if (!is_moved && !took_over) return;
  SharedState* const shared = GetSharedState();
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    if (is_moved) shared->scheduled_since = GetCurrentTimestamp();
    if (took_over) shared->up_since = GetCurrentTimestamp();
    LWLockRelease(shared->lock);
  });
}

// A success that is young enough is not looked up again: a repository that hangs makes the launcher
// hang, and with it every DROP DATABASE and the shutdown.
Microseconds LastSuccess(const ScheduleState& state, ScheduleMemory* memory) {
  const bool still_enough = memory->seen_success > 0 &&
                            memory->seen_success >= state.window_opened_at &&
                            memory->seen_success - state.now <= kBelievedFuture;
  if (!still_enough) memory->seen_success = NewestGoodBackup(state.now, memory);
  return memory->seen_success;
}

// What the shared part says.
void ViewShared(ScheduleState* state) {
  SharedState* const shared = GetSharedState();
  const TimestampTz window = ToTimestamp(state->window_opened_at);
  CallPostgres([&] {
    state->backup_running = BackupIsRunning();
    LWLockAcquire(shared->lock, LW_SHARED);
    state->up_since = FromTimestamp(shared->up_since);
    state->scheduled_since = FromTimestamp(shared->scheduled_since);
    state->last_failure = FromTimestamp(shared->last_automatic_failure);
    if (shared->failed_window == window) state->failures_of_window = shared->failures_of_window;
    state->last_cancel = FromTimestamp(shared->last_automatic_cancel);
    state->last_cut_off = FromTimestamp(shared->last_cut_off);
    state->last_locked_out = FromTimestamp(shared->last_locked_out);
    state->last_crash = FromTimestamp(shared->last_crash);
    state->crashes = shared->crashes;
    LWLockRelease(shared->lock);
  });
}

// Before the catalog is read: that can fail, and the window is known all the same.
void PublishWindow(const CalendarView& calendar) {
  SharedState* const shared = GetSharedState();
  const TimestampTz opened_at = ToTimestamp(calendar.last.opens_at);
  const TimestampTz closes_at = calendar.open_until ? ToTimestamp(*calendar.open_until) : 0;
  const TimestampTz opens_at = ToTimestamp(calendar.next_opens_at);
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->window_opened_at = opened_at;
    shared->window_closes_at = closes_at;
    shared->window_opens_at = opens_at;
    LWLockRelease(shared->lock);
  });
}

void PublishNextRun(const ScheduleState& state, const CalendarView& calendar) {
  const std::optional<Microseconds> next = NextRun(state, calendar);
  const TimestampTz next_run_at = next ? ToTimestamp(*next) : 0;
  SharedState* const shared = GetSharedState();
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->next_run_at = next_run_at;
    LWLockRelease(shared->lock);
  });
}

// Now their times are in the future; when the window opens they may not be any more.
void MarkBackupsOfAnotherClock(const ScheduleState& state, ScheduleMemory* memory) {
  constexpr Microseconds kStep = 60 * kMicrosecondsPerSecond;
  const bool went_back = state.now < memory->looked_at - kStep;
  if (went_back && state.repository_set) memory->seen_success = NewestGoodBackup(state.now, memory);
  memory->looked_at = state.now;
}

}  // namespace

ScheduleState ViewSchedule(ScheduleMemory* memory) {
  const Settings settings = CurrentSettings();
  ScheduleState state;
  state.enabled = settings.enabled;
  state.repository_set = !settings.repository.empty();
  state.run_on = settings.schedule.run_on;
  state.catch_up = settings.schedule.catch_up;
  CallPostgres([&] { state.in_recovery = RecoveryInProgress(); });
  WatchSchedule(settings, state.in_recovery, memory);
  state.now = Now();
  const CalendarView calendar = ViewOwnCalendar(settings.schedule, state.now);
  PublishWindow(calendar);
  state.window_open = calendar.open_until.has_value();
  state.window_opened_at = calendar.last.opens_at;
  ViewShared(&state);
  CallPostgres([&] { RememberUsualLoad(state.backup_running); });
  MarkBackupsOfAnotherClock(state, memory);
  if (NeedsLastSuccess(state)) state.last_success = LastSuccess(state, memory);
  PublishNextRun(state, calendar);
  return state;
}

// Without a word the night would pass for a good one until somebody looks.
void TellFailedWindow(const ScheduleState& state, ScheduleMemory* memory) {
  if (!HasWindowFailed(state) || memory->reported_window == state.window_opened_at) return;
  memory->reported_window = state.window_opened_at;
  const int failures = state.failures_of_window;
  CallPostgres([&] {
    ereport(WARNING, (errmsg("backup_ext: the window has closed without a good backup"),
                      errdetail("%d runs failed in it; the messages stand above.", failures),
                      errhint("Take one with SELECT backup_now(). The schedule tries again when "
                              "the window opens.")));
  });
}

bool IsRepositoryLocked() {
  try {
    return IsWriterLocked(OpenOwnRepository());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoRepository) throw;
    return false;
  }
}

}  // namespace backup_ext
