// Waits in small steps, so that a cancel is seen soon.
#include "backup/run_loop.h"

#include <algorithm>

namespace backup_ext {
namespace {

// Enough that no thread waits for the main one; few enough that WAL posted now is read soon.
constexpr size_t kTasksWaitingPerThread = 4;

}  // namespace

RunLoop::RunLoop(int threads, ThreadPriority priority, ServerAccess* server) : server_(server) {
  pool_.emplace(threads, kTasksWaitingPerThread * static_cast<size_t>(std::max(threads, 1)),
                priority);
}

void RunLoop::Post(const WorkerPool::Task& task) {
  Turn();
  while (!pool_->TryPost(task)) {
    if (!pool_->WaitForRoom(kStepMs)) Turn();
  }
}

void RunLoop::Turn() {
  if (MonotonicNow() >= next_pause_at_) PauseNow();
  if (background_) background_();
}

void RunLoop::PauseNow() {
  server_->PausePoint();
  next_pause_at_ = MonotonicNow() + kPauseEvery;
}

void RunLoop::Wait() {
  // True when all are done: then nothing is gained by waiting.
  (void)pool_->DrainFor(kStepMs);
  Turn();
}

void RunLoop::Drain() {
  do {
    Turn();
  } while (!pool_->DrainFor(kStepMs));
}

}  // namespace backup_ext
