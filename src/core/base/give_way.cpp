// Who waits for the processors, as the kernel tells it.
#include "base/give_way.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <thread>

namespace backup_ext {
namespace {

// Less often nobody notices, more often it costs too much.
constexpr Microseconds kLookEvery = 1000;
constexpr Microseconds kLongestNap = 50'000;
constexpr Microseconds kShareEvery = kMicrosecondsPerSecond / 2;
// Less comes from the kernel's own threads and interrupts.
constexpr double kLeastWaited = 0.1;
constexpr double kGivenForWait = 40;
// Of what was measured before, at each look: the last dozen counts.
constexpr double kRemembered = 0.9;

template <size_t kSize>
bool ReadText(const char* path, std::array<char, kSize>* text) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t count = read(fd, text->data(), text->size() - 1);
  close(fd);
  text->at(static_cast<size_t>(std::max<ssize_t>(count, 0))) = '\0';
  return count > 0;
}

// Source: Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat.
std::optional<ProcessorTimes> TimesOfThisThread() {
  constexpr double kNanosecondsPerMicrosecond = 1000;
  std::array<char, 128> text;
  uint64_t ran = 0;
  uint64_t waited = 0;
  if (!ReadText("/proc/thread-self/schedstat", &text) ||
      std::sscanf(text.data(), "%" SCNu64 " %" SCNu64, &ran, &waited) != 2) {
    return std::nullopt;
  }
  return ProcessorTimes{static_cast<double>(ran) / kNanosecondsPerMicrosecond,
                        static_cast<double>(waited) / kNanosecondsPerMicrosecond};
}

}  // namespace

double PartToGive(const ProcessorTimes& recent) {
  if (recent.waited < recent.ran * kLeastWaited || recent.ran <= 0) return 0;
  return std::min(recent.waited / recent.ran * kGivenForWait, kMostSlowedBy - 1);
}

bool StepDebt::IsDue(Microseconds now) const {
  return !looked_at_ || now - *looked_at_ >= kLookEvery;
}

Microseconds StepDebt::Take(Microseconds now, const ProcessorTimes& total) {
  const double ran = total.ran - before_.ran;
  const double waited = total.waited - before_.waited;
  const bool is_stale =
      !looked_at_ || static_cast<double>(now - *looked_at_) - ran - waited > kStale;
  before_ = total;
  looked_at_ = now;
  recent_ = is_stale ? ProcessorTimes()
                     : ProcessorTimes{recent_.ran * kRemembered + ran,
                                      recent_.waited * kRemembered + waited};
  return static_cast<Microseconds>(PartToGive(recent_) * ran);
}

void GiveWay::Pause(const std::function<bool()>& should_stop) {
  thread_local StepDebt debt;
  if (!is_on_) {
    debt.Forget();
    return;
  }
  const Microseconds now = MonotonicNow();
  if (!debt.IsDue(now)) return;
  const auto times = TimesOfThisThread();
  if (!times) return;
  Microseconds left = debt.Take(now, *times);
  while (left > 0 && is_on_ && !should_stop()) {
    const Microseconds step = std::min(left, kLongestNap);
    std::this_thread::sleep_for(std::chrono::microseconds(step));
    given_ += step;
    left -= step;
  }
  debt.Pay(MonotonicNow());
}

// Source: proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
std::optional<double> OthersShare::Look() {
  const Microseconds now = MonotonicNow();
  if (now - looked_at_ < kShareEvery) return std::nullopt;
  std::array<char, 512> text;
  std::array<uint64_t, 8> ticks{};
  if (!ReadText("/proc/stat", &text) ||
      std::sscanf(text.data(),
                  "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64,
                  &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6],
                  &ticks[7]) != 8) {
    return std::nullopt;
  }
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  double total = 0;
  for (const uint64_t count : ticks) total += static_cast<double>(count) / ticks_per_second;
  const double busy = total - static_cast<double>(ticks[3] + ticks[4]) / ticks_per_second;
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  const double own =
      static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
      static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / kMicrosecondsPerSecond;
  std::optional<double> share;
  if (looked_at_ != 0 && total > total_) {
    share = std::clamp((busy - busy_ - (own - own_)) / (total - total_), 0.0, 1.0);
  }
  looked_at_ = now;
  busy_ = busy;
  total_ = total;
  own_ = own;
  return share;
}

}  // namespace backup_ext
