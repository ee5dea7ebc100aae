// What a run tells about itself while it works. Lives in shared memory on the server: only
// lock-free atomics, no pointers.
#pragma once

#include <atomic>
#include <cstdint>

namespace backup_ext {

enum class Phase : uint32_t {
  kStarting = 0,
  kWaitingForCheckpoint,
  kEstimating,
  kCopying,
  kWaitingForWal,
  kCommitting,
  kChecking,  // restore: plan, space
  kWriting,   // restore: files
  kSyncing,   // restore: fsync of the tree
  kVerifying,
  kFinished,
  kExpiring,  // backup: it is done, older ones are removed
  kEstimatingMedia,
  kCopyingMedia,
  kRereadingMedia,  // after the database: what changed meanwhile
  kWritingMedia,    // restore
};
[[nodiscard]] inline const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kWaitingForCheckpoint:
      return "waiting for checkpoint";
    case Phase::kEstimating:
      return "estimating size";
    case Phase::kCopying:
      return "copying files";
    case Phase::kWaitingForWal:
      return "waiting for WAL";
    case Phase::kCommitting:
      return "committing";
    case Phase::kChecking:
      return "checking";
    case Phase::kWriting:
      return "writing files";
    case Phase::kSyncing:
      return "syncing";
    case Phase::kVerifying:
      return "verifying files";
    case Phase::kFinished:
      return "finished";
    case Phase::kExpiring:
      return "removing old backups";
    case Phase::kEstimatingMedia:
      return "estimating size of media";
    case Phase::kCopyingMedia:
      return "copying media files";
    case Phase::kRereadingMedia:
      return "reading media again";
    case Phase::kWritingMedia:
      return "writing media files";
  }
  return "unknown";
}

struct Progress;
// Looks on when a run enters a phase, in its main thread: how tests stop a job exactly there. Null
// in use.
using PhaseObserver = void (*)(const Progress& progress);
inline std::atomic<PhaseObserver> phase_observer{nullptr};

// Threads add to the counters; the phase and the totals are set by the run's main thread.
struct Progress {
  std::atomic<Phase> phase{Phase::kStarting};
  std::atomic<uint64_t> bytes_done{0};
  std::atomic<uint64_t> bytes_total{0};  // 0: not known yet
  std::atomic<uint64_t> files_done{0};
  std::atomic<uint64_t> files_total{0};

  void Enter(Phase next) {
    phase = next;
    if (const PhaseObserver observe = phase_observer) observe(*this);
  }
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace backup_ext
