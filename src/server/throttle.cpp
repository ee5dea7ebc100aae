// How fast a running backup may read.
#include "throttle.h"

#include <utility>

#include "policy/pace.h"

#include "guard.h"

namespace backup_ext {
namespace {

constexpr Microseconds kJudgeEvery = 2 * kMicrosecondsPerSecond;
// What is no sign of load.
constexpr uint32_t kByOther = kSlowedByMaxRate | kSlowedByWindowEnd | kSlowedByBusyProcessors;
// A shorter copy is over before anybody minds it.
constexpr Microseconds kLongCopy = kMicrosecondsPerSecond;
// Where others use less than this, a thread of ours that waits does so for one of its own.
constexpr double kCrowdedShare = 0.3;

}  // namespace

// What it was before the backup, as the launcher saw it. Where that is not known, what it is at the
// beginning.
void Throttle::Judge(Microseconds now, uint64_t bytes_read) {
  Load load;
  CallPostgresUninterrupted([&] {
    load = probe_.Take();
    if (!has_before_) has_before_ = UsualLoad(&before_);
  });
  if (judged_at_ != 0 && !has_before_) {
    before_ = load;
    has_before_ = true;
  }
  if (judged_at_ != 0) signs_ = CompareLoad(before_, load);
  pace_limit_ = pace_.Look({.now = now,
                            .copies = CopiesFiles(slot_->progress.phase),
                            .crowded = signs_.any(),
                            .bytes_read = bytes_read});
  judged_at_ = now;
}

bool Throttle::GivesWay() {
  if (manners_ != Manners::kMakeRoom) return false;
  const bool copies = CopiesFiles(slot_->progress.phase);
  const Microseconds now = MonotonicNow();
  if (!copies) {
    copying_since_ = 0;
  } else if (copying_since_ == 0) {
    copying_since_ = now;
  }
  if (const auto share = others_.Look()) is_crowded_ = *share >= kCrowdedShare;
  return copies && is_crowded_ && now - copying_since_ >= kLongCopy;
}

uint64_t Throttle::Limit(uint64_t max_rate, uint64_t window_rate, const RunEffort& done) {
  if (manners_ == Manners::kMakeRoom) {
    CallPostgresUninterrupted([this] { probe_.Look(); });
    const Microseconds now = MonotonicNow();
    if (now - judged_at_ >= kJudgeEvery) Judge(now, done.bytes_read);
  }
  const bool gave_way = std::exchange(time_given_, done.time_given) != done.time_given;
  uint32_t slowed_by = 0;
  if (ReadsFiles(slot_->progress.phase)) {
    if (max_rate > 0) slowed_by |= kSlowedByMaxRate;
    if (window_rate > 0) slowed_by |= kSlowedByWindowEnd;
    if (gave_way) slowed_by |= kSlowedByBusyProcessors;
    if (pace_limit_ > 0 && signs_.replication_lag) slowed_by |= kSlowedByReplicationLag;
    if (pace_limit_ > 0 && signs_.commit_latency) slowed_by |= kSlowedByCommitLatency;
    if (pace_limit_ > 0 && signs_.active_backends) slowed_by |= kSlowedByActiveBackends;
    // The load is as it was, and the rate is coming back.
    if (pace_limit_ > 0 && !signs_.any()) slowed_by |= last_signs_;
    if (signs_.any()) last_signs_ = slowed_by & ~kByOther;
  }
  slot_->slowed_by = slowed_by;
  return LowerRate(LowerRate(max_rate, window_rate), pace_limit_);
}

}  // namespace backup_ext
