// What becomes of an automatic backup when its window closes (backup_ext.window_end).
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/progress.h"

#include "settings.h"
#include "shared_state.h"

namespace backup_ext {

class WindowEndGuard {
 public:
  // `slot` must outlive it.
  explicit WindowEndGuard(JobSlot* slot);

  // At every pause point, with the settings of now. Throws Error(kCanceled) when the window has
  // closed and that is the end of the run; a run that only waits for its last WAL goes on.
  void Look(const ScheduleSettings& settings);
  // Bytes a second that the window leaves the run; 0: no limit.
  [[nodiscard]] uint64_t rate() const { return rate_; }

 private:
  [[nodiscard]] uint64_t RateOf(const Opening& window, Microseconds next_opens_at,
                                Microseconds now) const;

  JobSlot* slot_;
  Microseconds begun_at_;  // in its window; 0: the run has none
  int64_t next_look_ = 0;  // by MonotonicNow()
  uint64_t rate_ = 0;
};

}  // namespace backup_ext
