// How a backup makes room when the server has more to do than before.
#include "policy/load_manners.h"

#include <algorithm>
#include <utility>

namespace backup_ext {
namespace {

constexpr double kFewCommits = 10;
constexpr uint64_t kNoticeableLagBytes = 32 * 1024 * 1024;

double Latency(const Load& load) { return load.active_backends / load.commits_per_second; }

bool HasLatency(const Load& load) {
  return load.commits_per_second >= kFewCommits && load.active_backends > 0;
}

}  // namespace

UsualLooks::Look UsualLooks::Next(Microseconds now, bool backup_runs) {
  if (backup_runs) {
    last_.reset();
    return Look::kNone;
  }
  if (last_ && now - *last_ < kShortest) return Look::kNone;
  const bool counts = last_ && now - *last_ <= kLongest;
  last_ = now;
  return counts ? Look::kCounts : Look::kBegins;
}

LoadSigns CompareLoad(const Load& before, const Load& now) {
  LoadSigns signs;
  signs.replication_lag =
      now.replication_lag_bytes > 2 * before.replication_lag_bytes + kNoticeableLagBytes;
  signs.active_backends = now.active_backends > 1.5 * before.active_backends + 2;
  signs.commit_latency =
      HasLatency(before) && HasLatency(now) && Latency(now) > 1.25 * Latency(before);
  return signs;
}

uint64_t Pace::Look(const PaceLook& look) {
  const auto last = std::exchange(last_, look);
  if (!last || !last->copies || !look.copies || look.now <= last->now) return limit_;
  const double seconds = static_cast<double>(look.now - last->now) / kMicrosecondsPerSecond;
  const auto bytes = static_cast<double>(look.bytes_read - last->bytes_read);
  return Adjust(look.crowded, static_cast<uint64_t>(bytes / seconds));
}

uint64_t Pace::Adjust(bool crowded, uint64_t measured) {
  best_ = std::max(best_, measured);
  const uint64_t slowest = std::max(kSlowestRate, best_ / kSlowestPart);
  if (crowded) {
    const uint64_t current = limit_ == 0 ? measured : std::min(limit_, std::max(measured, slowest));
    limit_ = std::max(slowest, current - current / 4);
  } else if (limit_ != 0) {
    limit_ += std::max<uint64_t>(limit_ / 10, 1);
    if (limit_ >= best_) limit_ = 0;
  }
  return limit_;
}

}  // namespace backup_ext
