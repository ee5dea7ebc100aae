// A rate as time: every granted byte moves the moment at which all is paid for.
#include "base/rate_limiter.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/clock.h"

namespace backup_ext {
namespace {

constexpr Microseconds kLongestStep = 50'000;
constexpr Microseconds kBurst = 250'000;

}  // namespace

void RateLimiter::SetBytesPerSecond(uint64_t bytes_per_second) {
  bytes_per_second_ = bytes_per_second;
}

// A request is paid in parts, as credit comes, so that one greater than a burst passes too, threads
// share fairly, and a new rate counts at once.
void RateLimiter::Acquire(uint64_t bytes, const std::function<bool()>& should_stop) {
  double unpaid = static_cast<double>(bytes);
  while (unpaid > 0) {
    const uint64_t rate = bytes_per_second_;
    if (rate == 0) {
      return;
    }
    const double bytes_per_us = static_cast<double>(rate) / kMicrosecondsPerSecond;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const Microseconds now = MonotonicNow();
      const Microseconds from = std::clamp(next_free_us_, now - kBurst, now);
      const double paid = std::min(unpaid, static_cast<double>(now - from) * bytes_per_us);
      next_free_us_ =
          std::min(now, from + static_cast<Microseconds>(std::ceil(paid / bytes_per_us)));
      unpaid -= paid;
    }
    if (unpaid <= 0 || should_stop()) {
      return;
    }
    const double wait_us =
        std::min(std::ceil(unpaid / bytes_per_us), static_cast<double>(kLongestStep));
    std::this_thread::sleep_for(std::chrono::microseconds(static_cast<Microseconds>(wait_us)));
  }
}

}  // namespace backup_ext
