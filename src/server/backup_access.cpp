// What happens between two steps of a copy.
#include "backup_access.h"

#include "base/error.h"

#include "backup_mode.h"
#include "guard.h"
#include "pause_point.h"
#include "postgres_headers.h"

namespace backup_ext {

void BackupAccess::PausePoint() {
  if (wal_ != nullptr) wal_->ThrowIfGivenUp();
  backup_ext::PausePoint(*slot_);
  ThrowIfPromoted();
  lock_->Renew();
  const Settings settings = CurrentSettings();
  window_end_.Look(settings.schedule);
  SetPace(settings);
  if (run_ != nullptr) wal_->Poll(run_);
}

void BackupAccess::SetPace(const Settings& settings) {
  const bool gives_way = throttle_.GivesWay();
  RunEffort done;
  if (media_ != nullptr) {
    media_->SetGivesWay(gives_way);
    done.time_given += media_->time_given();
    done.bytes_read += media_->bytes_read();
  }
  if (run_ != nullptr) {
    run_->SetGivesWay(gives_way);
    done.time_given += run_->time_given();
    done.bytes_read += run_->bytes_read();
  }
  const uint64_t limit = throttle_.Limit(settings.max_bytes_per_second, window_end_.rate(), done);
  if (media_ != nullptr) media_->SetMaxRate(limit);
  if (run_ != nullptr) run_->SetMaxRate(limit);
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
