// Spreads work over time: at most so many bytes a second, shared by all threads of a run.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace backup_ext {

class RateLimiter {
 public:
  // 0 is unlimited. May be changed at any time from any thread.
  void SetBytesPerSecond(uint64_t bytes_per_second);
  [[nodiscard]] uint64_t bytes_per_second() const { return bytes_per_second_; }

  // Sleeps until `bytes` more may be read, in steps of at most 50 ms, or until `should_stop`
  // returns true. A rate changed meanwhile counts from the next step on. Allows bursts of at most
  // a quarter of a second.
  void Acquire(uint64_t bytes, const std::function<bool()>& should_stop);

 private:
  std::atomic<uint64_t> bytes_per_second_{0};
  std::mutex mutex_;
  int64_t next_free_us_ = 0;  // monotonic: when what was granted so far is paid for
};

}  // namespace backup_ext
