// What the launcher expects.
#include "schedule_outlook.h"

#include "guard.h"
#include "postgres_headers.h"
#include "shared_state.h"
#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr int kMinutesOfDay = 24 * 60;

// PostgreSQL's side of the border. `day` counts from today, in the zone of this process; `minute`
// may be that of a later day.
Microseconds AtLocalMinute(Microseconds now, int day, int minute) {
  const pg_time_t seconds = now / kMicrosecondsPerSecond;
  const struct pg_tm* const today = pg_localtime(&seconds, session_timezone);
  if (today == nullptr) return now;
  struct pg_tm at = *today;
  // pg_localtime() counts years from 1900 and months from 0.
  const int julian =
      date2j(at.tm_year + 1900, at.tm_mon + 1, at.tm_mday) + day + minute / kMinutesOfDay;
  j2date(julian, &at.tm_year, &at.tm_mon, &at.tm_mday);
  at.tm_hour = minute % kMinutesOfDay / 60;
  at.tm_min = minute % 60;
  at.tm_sec = 0;
  int zone = DetermineTimeZoneOffset(&at, session_timezone);
  Timestamp result = 0;
  if (tm2timestamp(&at, 0, &zone, &result) != 0) return now;
  return FromTimestamp(result);
}

}  // namespace

std::vector<Opening> OpeningsAround(const Settings& settings, Microseconds now) {
  const int opens = settings.window.opens_minute;
  int closes = settings.window.closes_minute;
  if (closes <= opens) closes += kMinutesOfDay;
  std::vector<Opening> openings;
  for (int day = -1; day <= 7; day++) {
    Opening opening;
    CallPostgres([&] {
      opening.opens_at = AtLocalMinute(now, day, opens);
      opening.closes_at = AtLocalMinute(now, day, closes);
    });
    openings.push_back(opening);
  }
  return openings;
}

void PublishOutlook(const Settings& settings, const ScheduleState& state) {
  const std::vector<Opening> openings = OpeningsAround(settings, state.now);
  Microseconds opens_at = 0;
  for (const Opening& opening : openings) {
    if (opening.closes_at <= state.now) continue;
    opens_at = opening.opens_at;
    break;
  }
  const Microseconds next_run_at = NextRun(state, openings).value_or(0);
  SharedState* const shared = GetSharedState();
  CallPostgres([&] {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->window_opens_at = opens_at == 0 ? 0 : ToTimestamp(opens_at);
    shared->next_run_at = next_run_at == 0 ? 0 : ToTimestamp(next_run_at);
    LWLockRelease(shared->lock);
  });
}

}  // namespace backup_ext
