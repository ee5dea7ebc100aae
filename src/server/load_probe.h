// Looks at what the server has to do, from shared memory alone: no lock is held for long, no table
// is read.
//
// Main thread only; PostgreSQL's side of the border.
#pragma once

#include "policy/load_manners.h"

#include "shared_state.h"

namespace backup_ext {

// Gathers looks and makes a mean of them.
class LoadProbe {
 public:
  void Look();
  // The load since the last call, or since the first look.
  [[nodiscard]] Load Take();

 private:
  int64_t looks_ = 0;
  int64_t active_backends_ = 0;
  uint64_t replication_lag_bytes_ = 0;
  uint64_t first_transaction_ = 0;
  Microseconds first_at_ = 0;  // monotonic
};

// The launcher's, at each look: what the server usually has to do. Counts the last ten minutes or
// so in which no backup ran.
void RememberUsualLoad(bool backup_runs);
// False when the launcher has not looked often enough, or not for a long time.
[[nodiscard]] bool UsualLoad(Load* load);

}  // namespace backup_ext
