// Whether the newest good backup is older than the schedule promises.
#include "policy/overdue.h"

#include <fmt/format.h>

#include "policy/duration.h"

namespace backup_ext {

namespace {

std::string WholeHours(Microseconds length) {
  constexpr Microseconds kHour = 3600LL * kMicrosecondsPerSecond;
  return FormatDuration(length - length % kHour);
}

}  // namespace

std::string BrokenPromise(const PromiseState& state) {
  if (!state.promised) return {};
  const Microseconds allowed = state.longest_gap + kPromiseGrace;
  if (state.last_success == 0) {
    // No night is skipped before the first one.
    const Microseconds waited = state.now - state.promised_since;
    if (waited <= state.longest_gap) return {};
    return fmt::format("there is no good backup, {} after the server started", WholeHours(waited));
  }
  const Microseconds age = state.now - state.last_success;
  if (age <= allowed) return {};
  return fmt::format("the newest good backup began {} ago", WholeHours(age));
}

}  // namespace backup_ext
