// Looks at what the server has to do.
#include "load_probe.h"

#include <algorithm>

#include "postgres_headers.h"

namespace backup_ext {
namespace {

constexpr uint32 kClassMask = 0xFF000000U;
constexpr int kEnoughLooks = 2;
// A look counts for a thirtieth: ten minutes of looks every 20 seconds.
constexpr double kNewestPart = 1.0 / 30;
constexpr Microseconds kUsualFor = 15 * 60 * kMicrosecondsPerSecond;

// Not the idle ones, nor those that sleep or wait for a job of ours.
bool IsActive(const PGPROC& process) {
  if (process.pid == 0 || process.databaseId == InvalidOid) return false;
  const uint32 wait_class = process.wait_event_info & kClassMask;
  return wait_class != PG_WAIT_CLIENT && wait_class != PG_WAIT_ACTIVITY &&
         wait_class != PG_WAIT_EXTENSION && wait_class != PG_WAIT_TIMEOUT;
}

// Read without a lock: one that is wrong for a moment does not matter.
int CountActiveBackends() {
  int active = 0;
  for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
    if (&ProcGlobal->allProcs[i] != MyProc && IsActive(ProcGlobal->allProcs[i])) active++;
  }
  return active;
}

uint64_t LargestReplicationLag() {
  const XLogRecPtr here =
      RecoveryInProgress() ? GetXLogReplayRecPtr(nullptr) : GetFlushRecPtr(nullptr);
  uint64_t largest = 0;
  for (int i = 0; i < max_wal_senders; i++) {
    WalSnd* const sender = &WalSndCtl->walsnds[i];
    SpinLockAcquire(&sender->mutex);
    const bool counts = sender->pid != 0 && sender->state >= WALSNDSTATE_CATCHUP &&
                        sender->state <= WALSNDSTATE_STREAMING;
    const XLogRecPtr there = sender->flush;
    SpinLockRelease(&sender->mutex);
    // A pg_receivewal that never says what it has flushed is no standby.
    if (counts && there != InvalidXLogRecPtr && there < here) {
      largest = std::max<uint64_t>(largest, here - there);
    }
  }
  return largest;
}

uint64_t NextTransaction() { return U64FromFullTransactionId(ReadNextFullTransactionId()); }

}  // namespace

void LoadProbe::Look() {
  if (looks_ == 0 && first_at_ == 0) {
    first_at_ = MonotonicNow();
    first_transaction_ = NextTransaction();
  }
  looks_++;
  active_backends_ += CountActiveBackends();
  replication_lag_bytes_ = LargestReplicationLag();
}

Load LoadProbe::Take() {
  Load load;
  const Microseconds now = MonotonicNow();
  const uint64_t transaction = NextTransaction();
  const double seconds = static_cast<double>(now - first_at_) / kMicrosecondsPerSecond;
  if (looks_ > 0)
    load.active_backends = static_cast<double>(active_backends_) / static_cast<double>(looks_);
  if (first_at_ != 0 && seconds > 0) {
    load.commits_per_second = static_cast<double>(transaction - first_transaction_) / seconds;
  }
  load.replication_lag_bytes = replication_lag_bytes_;
  looks_ = 0;
  active_backends_ = 0;
  first_at_ = now;
  first_transaction_ = transaction;
  return load;
}

void RememberUsualLoad(bool backup_runs) {
  static LoadProbe probe;
  static UsualLooks looks;
  const Microseconds time = MonotonicNow();
  const UsualLooks::Look look = looks.Next(time, backup_runs);
  if (look == UsualLooks::Look::kNone) return;
  probe.Look();
  const Load now = probe.Take();
  if (look == UsualLooks::Look::kBegins) return;
  UsualLoadState* const usual = &GetSharedState()->usual_load;
  LWLockAcquire(GetSharedState()->lock, LW_EXCLUSIVE);
  const double part =
      usual->looks == 0 ? 1 : std::max(kNewestPart, 1.0 / (static_cast<double>(usual->looks) + 1));
  usual->active_backends += part * (now.active_backends - usual->active_backends);
  usual->commits_per_second += part * (now.commits_per_second - usual->commits_per_second);
  usual->replication_lag_bytes +=
      part * (static_cast<double>(now.replication_lag_bytes) - usual->replication_lag_bytes);
  usual->looks++;
  usual->at = time;
  LWLockRelease(GetSharedState()->lock);
}

bool UsualLoad(Load* load) {
  SharedState* const shared = GetSharedState();
  LWLockAcquire(shared->lock, LW_SHARED);
  const UsualLoadState usual = shared->usual_load;
  LWLockRelease(shared->lock);
  if (usual.looks < kEnoughLooks || MonotonicNow() - usual.at > kUsualFor) return false;
  load->active_backends = usual.active_backends;
  load->commits_per_second = usual.commits_per_second;
  load->replication_lag_bytes = static_cast<uint64_t>(usual.replication_lag_bytes);
  return true;
}

}  // namespace backup_ext
