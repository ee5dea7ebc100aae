// What happens between two steps of a copy.
#include "backup_access.h"

#include <utility>

#include "base/error.h"

#include "backup_mode.h"
#include "guard.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"

namespace backup_ext {
namespace {

// A shorter copy is over before anybody minds it.
constexpr Microseconds kLongCopy = kMicrosecondsPerSecond;
// Where others leave more than this, a thread of ours that waits does so for one of its own.
constexpr double kCrowdedShare = 0.3;

}  // namespace

void BackupAccess::PausePoint() {
  if (wal_ != nullptr) wal_->ThrowIfGivenUp();
  backup_ext::PausePoint(*slot_);
  ThrowIfPromoted();
  lock_->Renew();
  const Settings settings = CurrentSettings();
  window_end_.Look(settings.schedule);
  const uint64_t limit =
      throttle_.Limit(settings.max_bytes_per_second, window_end_.rate(), GiveWayToOthers());
  if (media_ != nullptr) media_->SetMaxRate(limit);
  if (run_ == nullptr) return;
  run_->SetMaxRate(limit);
  wal_->Poll(run_);
}

// Whether threads slept for others since the last call.
bool BackupAccess::GiveWayToOthers() {
  if (!makes_room_) return false;
  const Phase phase = slot_->progress.phase;
  const bool copies = phase == Phase::kCopying || phase == Phase::kCopyingMedia;
  const Microseconds now = MonotonicNow();
  if (!copies) {
    copying_since_ = 0;
  } else if (copying_since_ == 0) {
    copying_since_ = now;
  }
  if (const auto share = others_.Look()) is_crowded_ = *share >= kCrowdedShare;
  const bool gives_way = copies && is_crowded_ && now - copying_since_ >= kLongCopy;
  Microseconds given = 0;
  if (media_ != nullptr) {
    media_->SetGivesWay(gives_way);
    given += media_->time_given();
  }
  if (run_ != nullptr) {
    run_->SetGivesWay(gives_way);
    given += run_->time_given();
  }
  return std::exchange(time_given_, given) != given;
}

std::optional<Bytes> BackupAccess::ReadRelationMap(const std::string& path) {
  Bytes content = ReadRelationMapUnderLock(path);
  if (content.empty()) return std::nullopt;
  return content;
}

void BackupAccess::ThrowIfPromoted() const {
  bool in_recovery = false;
  CallPostgresUninterrupted([&] { in_recovery = RecoveryInProgress(); });
  if (in_recovery == facts_.in_recovery) return;
  throw Error(ErrorCode::kNotInPrerequisiteState, "the standby was promoted during the backup",
              "What was copied before and after the promotion does not belong together.",
              "Take a new backup.");
}

}  // namespace backup_ext
