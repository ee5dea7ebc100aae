// The rate holds over time, changes at once, and never keeps anybody who should stop.
#include "base/rate_limiter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/clock.h"

namespace backup_ext {
namespace {

constexpr auto kNever = [] { return false; };

TEST(RateLimiter, UnlimitedDoesNotWait) {
  RateLimiter limiter;
  const Microseconds start = MonotonicNow();
  limiter.Acquire(uint64_t{1} << 40, kNever);
  EXPECT_LT(MonotonicNow() - start, kMicrosecondsPerSecond);
}

TEST(RateLimiter, ThreadsTogetherKeepTheRate) {
  RateLimiter limiter;
  limiter.SetBytesPerSecond(4'000'000);
  const Microseconds start = MonotonicNow();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&limiter] {
      for (int step = 0; step < 12; ++step) {
        limiter.Acquire(62'500, kNever);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  // 3,000,000 bytes are 750 ms, of which a burst may save 250. Only the lower bound is a promise;
  // the upper one is wide, for busy machines.
  const Microseconds spent = MonotonicNow() - start;
  EXPECT_GE(spent, 495'000);
  EXPECT_LT(spent, 10 * kMicrosecondsPerSecond);
}

TEST(RateLimiter, GrantsMoreThanABurst) {
  RateLimiter limiter;
  limiter.SetBytesPerSecond(1000);
  const Microseconds start = MonotonicNow();
  limiter.Acquire(500, kNever);
  EXPECT_GE(MonotonicNow() - start, 245'000);
}

TEST(RateLimiter, NewRateCountsForThoseWhoWait) {
  RateLimiter limiter;
  limiter.SetBytesPerSecond(1);
  std::thread waiting([&limiter] { limiter.Acquire(1'000'000, kNever); });
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  limiter.SetBytesPerSecond(1'000'000'000);
  waiting.join();  // in days otherwise
}

TEST(RateLimiter, StopsWhenAsked) {
  RateLimiter limiter;
  limiter.SetBytesPerSecond(1);
  int asked = 0;
  limiter.Acquire(1'000'000, [&asked] { return ++asked == 3; });
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace backup_ext
