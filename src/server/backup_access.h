// What the core asks of the server while it copies: pauses, and relation maps under their lock.
#pragma once

#include <optional>
#include <string>

#include "backup/backup_run.h"
#include "backup/media_run.h"
#include "store/lock.h"

#include "settings.h"
#include "throttle.h"
#include "wal_collector.h"
#include "window_end.h"

namespace backup_ext {

class BackupAccess : public ServerAccess {
 public:
  // All must outlive it.
  BackupAccess(const ClusterFacts& facts, WriterLock* lock, JobSlot* slot,
               Throttle::Manners manners)
      : facts_(facts), lock_(lock), slot_(slot), throttle_(slot, manners), window_end_(slot) {}

  // Media are copied before there is anything else.
  void Attach(MediaRun* media) { media_ = media; }
  void Attach(BackupRun* run, WalCollector* wal) {
    run_ = run;
    wal_ = wal;
  }

  // Hears a cancel, renews the lock, sets the rate, takes what WAL there is. Throws what ends the
  // backup.
  void PausePoint() override;
  std::optional<Bytes> ReadRelationMap(const std::string& path) override;

 private:
  void ThrowIfPromoted() const;
  void SetPace(const Settings& settings);

  const ClusterFacts& facts_;
  WriterLock* lock_;
  JobSlot* slot_;
  Throttle throttle_;
  WindowEndGuard window_end_;
  MediaRun* media_ = nullptr;
  BackupRun* run_ = nullptr;
  WalCollector* wal_ = nullptr;
};

}  // namespace backup_ext
