// How fast a run may go so that its work fits into its window.
#include "policy/pace.h"

#include <algorithm>

namespace backup_ext {

bool CopiesFiles(Phase phase) { return phase == Phase::kCopyingMedia || phase == Phase::kCopying; }

bool ReadsFiles(Phase phase) { return CopiesFiles(phase) || phase == Phase::kRereadingMedia; }

bool EndsWithWindow(Phase phase) {
  return phase == Phase::kEstimatingMedia || phase == Phase::kWaitingForCheckpoint ||
         phase == Phase::kEstimating || CopiesFiles(phase);
}

uint64_t LowerRate(uint64_t a, uint64_t b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

uint64_t PacedRate(const WindowPace& pace) {
  const bool is_open = pace.now < pace.closes_at;
  const Microseconds begin = is_open ? pace.opened_at : pace.closes_at;
  const Microseconds end = is_open ? pace.closes_at : pace.next_opens_at;
  const Microseconds time_left = end - (end - begin) / 10 - pace.now;
  if (time_left <= 0) return 0;
  const double seconds = static_cast<double>(time_left) / kMicrosecondsPerSecond;
  const double rate = static_cast<double>(pace.bytes_left) / seconds;
  // More than that is no limit to any disk, and may not fit into the number.
  constexpr double kUnlimited = 1e15;
  if (rate > kUnlimited) return 0;
  return std::max(static_cast<uint64_t>(rate), kLeastPacedRate);
}

uint64_t WindowRate(Phase phase, const WindowPace& pace) {
  if (CopiesFiles(phase)) return PacedRate(pace);
  return phase == Phase::kStarting || EndsWithWindow(phase) ? kLeastPacedRate : 0;
}

}  // namespace backup_ext
