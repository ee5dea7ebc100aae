// What the threads of a run share, and what each has for itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "backup/audit.h"
#include "backup/backup_run.h"
#include "backup/change_proof.h"
#include "backup/pack_writer.h"
#include "backup/page_reader.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/give_way.h"
#include "base/progress.h"
#include "base/rate_limiter.h"
#include "cluster/changed_blocks.h"

namespace backup_ext {

// One thread's own.
struct Worker {
  PackWriter packs;
  PageReader pages;
  Bytes buffer;                      // kFramePlainLimitBytes
  std::unique_ptr<Auditor> auditor;  // null: nothing is audited
};

// Made before the threads and outlives them. What is no atomic is constant while a task runs.
struct CopyEnvironment {
  ClusterFacts facts;
  Progress* progress = nullptr;
  uint64_t start_lsn = 0;
  Microseconds begun_at = 0;  // before the server fixed start_lsn
  const PackTable* packs = nullptr;
  ChangeRules rules;
  AuditSetup audit;
  DyingPacks dying_packs;                 // of the parents, by index in the pack table
  std::atomic<uint64_t> wal_position{0};  // the newest one published
  std::atomic<bool> stop{false};          // tasks return early and finish nothing
  RateLimiter rate_limiter;
  GiveWay give_way;
  std::atomic<uint64_t> bytes_read{0};
  std::function<bool()> should_stop = [this] { return stop.load(); };
  // Before each read of so much.
  void AwaitTurn(uint64_t bytes) {
    give_way.Pause(should_stop);
    rate_limiter.Acquire(bytes, should_stop);
    bytes_read += bytes;
  }
  std::vector<Worker> workers;  // by the pool's thread number; the last is the WAL copier's
};

}  // namespace backup_ext
