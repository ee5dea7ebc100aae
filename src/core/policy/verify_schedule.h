// Whether the newest backup is to be verified now: a pure decision on plain values.
#pragma once

#include "base/clock.h"

namespace backup_ext {

struct VerifyState {
  Microseconds interval = 0;  // verify_interval; 0: never
  Microseconds now = 0;
  Microseconds last_end = 0;      // when the newest verify of any backup ended; 0: none
  Microseconds last_failure = 0;  // when the newest one failed that did not come to an end
  int failures_in_a_row = 0;
  bool runs_elsewhere = false;  // another server of the pair runs the schedule
  bool backup_running = false;
  bool verify_running = false;
};

// Due when none ended in the last `interval`. One that failed is tried again after the same pauses
// as a backup. An end in the future (the clock went back) is believed for one interval.
[[nodiscard]] bool IsVerifyDue(const VerifyState& state);

}  // namespace backup_ext
