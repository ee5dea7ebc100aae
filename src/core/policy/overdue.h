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
  // The longest time between two automatic backups when all goes well.
  Microseconds longest_gap = 0;
};

// A backup that is a day late, whatever the gap: a night is skipped when one was taken by hand not
// long before it.
inline constexpr Microseconds kPromiseGrace = 24LL * 3600 * kMicrosecondsPerSecond;

// Empty while the promise is kept, else one line: `the newest good backup began 52 hours ago`.
[[nodiscard]] std::string BrokenPromise(const PromiseState& state);

}  // namespace backup_ext
