// Makes room for others on busy processors: a thread that had to wait for one sleeps for a while
// after its step. A nice value does not: Linux shares processors out among sessions first
// (sched(7), autogroup), and every process of PostgreSQL is one; nor does it end the step that
// others wait for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"

namespace backup_ext {

// Of one thread, since some moment.
struct ProcessorTimes {
  double ran = 0;     // microseconds
  double waited = 0;  // it could have run, but others did
};

// How many times as long as it ran a thread sleeps: nothing where it hardly waited, and never so
// long that it becomes more than kMostSlowedBy times slower.
[[nodiscard]] double PartToGive(const ProcessorTimes& recent);
inline constexpr double kMostSlowedBy = 24;

// Of one thread: what it owes to others after its steps.
class StepDebt {
 public:
  // Whether it is time to look at the thread's times: that costs.
  [[nodiscard]] bool IsDue(Microseconds now) const;
  // `total`: of the thread so far. How long it is to sleep. Nothing after kStale or more in which
  // it neither ran nor waited for a processor: what was before is no reason to sleep now.
  [[nodiscard]] Microseconds Take(Microseconds now, const ProcessorTimes& total);
  // It slept until `now`.
  void Pay(Microseconds now) { looked_at_ = now; }
  void Forget() { looked_at_.reset(); }

  static constexpr Microseconds kStale = 200'000;

 private:
  std::optional<Microseconds> looked_at_;
  ProcessorTimes before_;
  ProcessorTimes recent_;
};

class GiveWay {
 public:
  // From any thread. Off at first.
  void Set(bool is_on) { is_on_ = is_on; }
  // Between two steps of the calling thread. Returns early when `should_stop` says so.
  void Pause(const std::function<bool()>& should_stop);
  // By all threads so far.
  [[nodiscard]] Microseconds given() const { return given_; }

 private:
  std::atomic<bool> is_on_{false};
  std::atomic<Microseconds> given_{0};
};

// What other processes use of the machine's processors. One thread.
class OthersShare {
 public:
  // Since it last said something: 0 is nothing, 1 all processors. Nothing when that is less than
  // half a second ago, and where the kernel does not tell.
  [[nodiscard]] std::optional<double> Look();

 private:
  Microseconds looked_at_ = 0;
  double busy_ = 0;  // seconds, of all processors
  double total_ = 0;
  double own_ = 0;
};

}  // namespace backup_ext
