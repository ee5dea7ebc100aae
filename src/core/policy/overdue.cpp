// Whether the newest good backup is older than the schedule promises.
#include "policy/overdue.h"

#include <fmt/format.h>

#include "policy/duration.h"

namespace backup_ext {

namespace {

std::string WholeHours(Microseconds length) {
  constexpr Microseconds kOneHour = 3600LL * kMicrosecondsPerSecond;
  return FormatDuration(length - length % kOneHour);
}

}  // namespace

std::string BrokenPromise(const PromiseState& state) {
  if (!state.promised) return {};
  const bool any_success = state.last_success != 0;
  const Microseconds since = any_success ? state.last_success : state.promised_since;
  const Microseconds age = state.now - since;
  if (age <= (any_success ? kPromisedAge : kPromisedStart)) return {};
  // With a window a week, no backup for six days breaks no promise.
  const bool window_known = state.window_opened_at != 0;
  if (window_known && state.window_opened_at <= since) return {};
  if (state.window_open && state.now - state.window_opened_at <= kPromisedStart) return {};
  if (any_success) return fmt::format("the newest good backup began {} ago", WholeHours(age));
  return fmt::format("there is no good backup, {} after the server started", WholeHours(age));
}

}  // namespace backup_ext
