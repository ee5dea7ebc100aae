// Whether the newest good backup is older than the schedule promises: a pure decision.
#pragma once

#include <string>

#include "base/clock.h"

namespace backup_ext {

struct PromiseState {
  bool promised = false;  // automatic backups are on, a repository is set, and it is our turn
  Microseconds now = 0;
  Microseconds last_success = 0;    // start of the newest good backup; 0: none
  Microseconds promised_since = 0;  // with no backup at all: since when one could have been taken
  // The newest opening of the window (calendar.h), closed since or not; 0: not known yet.
  Microseconds window_opened_at = 0;
  bool window_open = false;
};

// However many windows a day has: this is how old a backup may be, and how long an open window may
// take for one.
inline constexpr Microseconds kPromisedAge = 48LL * 3600 * kMicrosecondsPerSecond;
inline constexpr Microseconds kPromisedStart = 24LL * 3600 * kMicrosecondsPerSecond;

// Empty while the promise is kept, else one line: `the newest good backup began 52 hours ago`.
[[nodiscard]] std::string BrokenPromise(const PromiseState& state);

}  // namespace backup_ext
