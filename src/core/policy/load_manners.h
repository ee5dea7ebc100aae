// How a backup makes room when the server has more to do than before: pure decisions on plain
// values.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace backup_ext {

// What a server had to do, over some seconds.
struct Load {
  double active_backends = 0;          // at work or waiting for a lock, on average
  double commits_per_second = 0;       // of transactions that wrote; 0: none, or it cannot be told
  uint64_t replication_lag_bytes = 0;  // of the standby that is furthest behind
};

// Which of the looks at a server tell what it has to do while no backup runs.
class UsualLooks {
 public:
  enum class Look { kNone, kBegins, kCounts };
  // kBegins: the time up to it is not to be counted, for it is the first one, a backup ran, or
  // nobody looked for so long that one may have. kNone: too soon after the last one, or one runs.
  // `now`: monotonic.
  [[nodiscard]] Look Next(Microseconds now, bool backup_runs);

  // Over less, a number of commits says little.
  static constexpr Microseconds kShortest = 5 * kMicrosecondsPerSecond;
  static constexpr Microseconds kLongest = 60 * kMicrosecondsPerSecond;

 private:
  std::optional<Microseconds> last_;
};

// What has risen.
struct LoadSigns {
  bool replication_lag = false;
  bool commit_latency = false;
  bool active_backends = false;
  [[nodiscard]] bool any() const { return replication_lag || commit_latency || active_backends; }
  bool operator==(const LoadSigns&) const = default;
};

// Risen by so much that a person would notice: half as many backends again and two more; commits
// that take a quarter longer (the time from begin to commit of a writing transaction: active
// backends over commits a second), where there are at least ten a second; twice the lag and two
// segments of WAL.
[[nodiscard]] LoadSigns CompareLoad(const Load& before, const Load& now);

// A look at a backup.
struct PaceLook {
  Microseconds now = 0;  // monotonic
  bool copies = false;   // it is in a phase in which it copies files (pace.h)
  bool crowded = false;
  uint64_t bytes_read = 0;  // since it began
};

// A rate in bytes a second that gives way at once and comes back slowly.
class Pace {
 public:
  // Adjusts where the backup copied files at this look and at the last one: else the time between
  // them says nothing about the rate. Returns the limit, 0: none.
  [[nodiscard]] uint64_t Look(const PaceLook& look);
  // `measured`: the rate of the time since the last call. Returns the new limit, 0: none. Crowded:
  // three quarters of what was done, but never less than kSlowestPart of the best rate seen nor
  // kSlowestRate. Else a tenth more, until the best rate seen is reached again.
  [[nodiscard]] uint64_t Adjust(bool crowded, uint64_t measured);

  static constexpr uint64_t kSlowestRate = 4 * 1024 * 1024;
  static constexpr uint64_t kSlowestPart = 10;

 private:
  uint64_t best_ = 0;
  uint64_t limit_ = 0;
  std::optional<PaceLook> last_;
};

}  // namespace backup_ext
