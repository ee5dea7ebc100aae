// How fast a run may go so that its work fits into its window: pure decisions on plain values.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/progress.h"

namespace backup_ext {

// The long phases, in which a run reads files.
[[nodiscard]] bool CopiesFiles(Phase phase);
// A rate holds in them, and in the short one after them.
[[nodiscard]] bool ReadsFiles(Phase phase);

// What happens to a run that is still going when its window closes (backup_ext.window_end).
enum class WindowEnd { kContinue, kThrottle, kCancel };

// Whether WindowEnd::kCancel ends a run in that phase; one that is nearly done is not ended.
[[nodiscard]] bool EndsWithWindow(Phase phase);

// Rates in bytes a second; 0 is unlimited.
[[nodiscard]] uint64_t LowerRate(uint64_t a, uint64_t b);

struct WindowPace {
  Microseconds now = 0;
  Microseconds opened_at = 0;
  Microseconds closes_at = 0;
  Microseconds next_opens_at = 0;
  uint64_t bytes_left = 0;  // an estimate
};

// The rate of WindowEnd::kThrottle. Inside the window the work that is left is spread over nine
// tenths of its length, then it goes as fast as it can; what is left when the window closes is
// spread in the same way over the time until the next one opens. Never below kLeastPacedRate.
[[nodiscard]] uint64_t PacedRate(const WindowPace& pace);
// The same for a run in that phase: before files are copied kLeastPacedRate, for nothing is read
// yet, and when it is the next look may be a moment away; afterwards no limit.
[[nodiscard]] uint64_t WindowRate(Phase phase, const WindowPace& pace);
inline constexpr uint64_t kLeastPacedRate = 1024ULL * 1024;

}  // namespace backup_ext
