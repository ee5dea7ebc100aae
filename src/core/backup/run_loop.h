// The run's main thread: hands out tasks, and stops at the server's pause point while they work.
#pragma once

#include <functional>
#include <optional>

#include "backup/backup_run.h"
#include "base/clock.h"
#include "base/worker_pool.h"

namespace backup_ext {

// Every call may rethrow a task's error. All but TryPost may throw what the pause point throws.
class RunLoop {
 public:
  // `server` must outlive it. Destroyed it waits for the tasks that run; those that wait are
  // dropped.
  RunLoop(int threads, ThreadPriority priority, ServerAccess* server);

  // Called once a turn: posts what waits for room.
  void SetBackground(std::function<void()> background) { background_ = std::move(background); }

  // At once; false when there is no room.
  [[nodiscard]] bool TryPost(const WorkerPool::Task& task) { return pool_->TryPost(task); }
  // Waits for room.
  void Post(const WorkerPool::Task& task);
  // Visits the pause point when the time has come. Cheap.
  void Turn();
  void PauseNow();
  // Waits a little for the threads, then turns.
  void Wait();
  // Waits until every task posted is done.
  void Drain();
  // Drops waiting tasks, joins the threads: nothing else may be called afterwards.
  void Stop() { pool_.reset(); }

  // How long a wait lasts at most before it turns.
  static constexpr int kStepMs = 20;

 private:
  ServerAccess* server_;
  std::function<void()> background_;
  Microseconds next_pause_at_ = 0;
  std::optional<WorkerPool> pool_;
};

}  // namespace backup_ext
