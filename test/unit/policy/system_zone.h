// The zones of the system's own database, for tests.
#pragma once

#include <ctime>
#include <map>
#include <string>

#include "policy/zone.h"

namespace backup_ext {

// Knows the years 2009 to 2027; the time zone of the process is changed for good.
class SystemZone : public Zone {
 public:
  explicit SystemZone(const std::string& name) {
    setenv("TZ", name.c_str(), 1);
    tzset();
    constexpr int64_t kStep = 3600;
    constexpr int64_t kFirst = 1'230'768'000;  // 2009-01-01
    constexpr int64_t kLast = 1'830'297'600;   // 2028-01-01
    changes_[INT64_MIN] = SystemOffset(kFirst);
    for (int64_t time = kFirst; time < kLast; time += kStep) {
      if (SystemOffset(time + kStep) == SystemOffset(time)) continue;
      int64_t before = time;
      int64_t after = time + kStep;
      while (after - before > 1) {
        const int64_t middle = before + (after - before) / 2;
        (SystemOffset(middle) == SystemOffset(time) ? before : after) = middle;
      }
      changes_[after] = SystemOffset(after);
    }
  }

  [[nodiscard]] int64_t OffsetAt(int64_t time) const override {
    return std::prev(changes_.upper_bound(time))->second;
  }
  [[nodiscard]] std::optional<int64_t> NextChange(int64_t time) const override {
    const auto next = changes_.upper_bound(time);
    return next == changes_.end() ? std::nullopt : std::optional(next->first);
  }
  // How often the clocks are moved, in the years that it knows.
  [[nodiscard]] size_t changes() const { return changes_.size() - 1; }

 private:
  static int64_t SystemOffset(int64_t time) {
    const time_t seconds = time;
    struct tm local;
    localtime_r(&seconds, &local);
    return local.tm_gmtoff;
  }

  std::map<int64_t, int64_t> changes_;
};

}  // namespace backup_ext
