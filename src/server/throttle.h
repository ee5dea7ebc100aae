// How fast a running backup may read: max_rate, the pace of its window, and less while the server
// has more to do than it had.
#pragma once

#include "base/clock.h"
#include "base/give_way.h"
#include "policy/load_manners.h"

#include "load_probe.h"
#include "shared_state.h"

namespace backup_ext {

// What a backup's threads did so far.
struct RunEffort {
  Microseconds time_given = 0;  // they slept for others
  uint64_t bytes_read = 0;
};

class Throttle {
 public:
  enum class Manners { kMakeRoom, kMaxRateOnly };

  // `slot` outlives it; `slot->slowed_by` is kept up to date.
  Throttle(JobSlot* slot, Manners manners) : slot_(slot), manners_(manners) {}

  // Whether the run's threads sleep for others that wait for a processor. At each pause point.
  [[nodiscard]] bool GivesWay();
  // Bytes a second, 0: unlimited. At each pause point.
  [[nodiscard]] uint64_t Limit(uint64_t max_rate, uint64_t window_rate, const RunEffort& done);

 private:
  void Judge(Microseconds now, uint64_t bytes_read);

  JobSlot* slot_;
  Manners manners_;
  LoadProbe probe_;
  Pace pace_;
  Load before_;
  bool has_before_ = false;
  LoadSigns signs_;
  uint32_t last_signs_ = 0;  // the last ones that there were, as bits of SlowedBy
  uint64_t pace_limit_ = 0;
  Microseconds judged_at_ = 0;  // monotonic; 0: not yet
  OthersShare others_;
  bool is_crowded_ = false;
  Microseconds copying_since_ = 0;  // monotonic; 0: it does not copy
  Microseconds time_given_ = 0;
};

}  // namespace backup_ext
