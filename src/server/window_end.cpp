// What becomes of an automatic backup when its window closes.
#include "window_end.h"

#include "base/error.h"
#include "policy/calendar.h"
#include "policy/pace.h"

#include "timestamp.h"

namespace backup_ext {
namespace {

constexpr Microseconds kLookPause = kMicrosecondsPerSecond / 5;

}  // namespace

WindowEndGuard::WindowEndGuard(JobSlot* slot)
    : slot_(slot), begun_at_(FromTimestamp(slot->request.begun_in_window_at)) {}

void WindowEndGuard::Look(const ScheduleSettings& settings) {
  if (begun_at_ == 0 || MonotonicNow() < next_look_) return;
  next_look_ = MonotonicNow() + kLookPause;
  rate_ = 0;
  if (settings.window_end == WindowEnd::kContinue) return;
  // With the windows of now: who moves the end means this run, too.
  const CalendarView begun = ViewOwnCalendar(settings, begun_at_);
  if (!begun.open_until) return;
  const Opening window = {begun.last.opens_at, *begun.open_until};
  const Microseconds now = Now();
  if (settings.window_end == WindowEnd::kThrottle) {
    rate_ = RateOf(window, ViewOwnCalendar(settings, window.closes_at).next_opens_at, now);
    return;
  }
  if (now < window.closes_at || !EndsWithWindow(slot_->progress.phase)) return;
  slot_->ended_with_window = true;
  throw Error(ErrorCode::kCanceled, "canceling backup because its window has closed",
              "backup_ext.window_end is cancel.",
              "The next one goes on with what was stored. If it happens again and again, make the "
              "window longer.");
}

uint64_t WindowEndGuard::RateOf(const Opening& window, Microseconds next_opens_at,
                                Microseconds now) const {
  const Progress& progress = slot_->progress;
  const uint64_t total = progress.bytes_total;
  const uint64_t done = progress.bytes_done;
  return WindowRate(progress.phase, {.now = now,
                                     .opened_at = window.opens_at,
                                     .closes_at = window.closes_at,
                                     .next_opens_at = next_opens_at,
                                     .bytes_left = total > done ? total - done : 0});
}

}  // namespace backup_ext
