// Decides whether the newest backup is to be verified now.
#include "policy/verify_schedule.h"

#include "policy/schedule.h"

namespace backup_ext {
namespace {

bool IsWithin(Microseconds since, Microseconds length) { return -length < since && since < length; }

}  // namespace

bool IsVerifyDue(const VerifyState& state) {
  if (state.interval <= 0 || state.runs_elsewhere || state.backup_running || state.verify_running) {
    return false;
  }
  if (state.last_end != 0 && IsWithin(state.now - state.last_end, state.interval)) return false;
  return state.last_failure == 0 ||
         !IsWithin(state.now - state.last_failure, RetryPause(state.failures_in_a_row));
}

}  // namespace backup_ext
