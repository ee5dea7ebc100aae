// Threads for one run: a bounded queue, first error wins, joined by the destructor.
//
// The threads see bytes and never call PostgreSQL. They are created with every signal blocked
// (a thread that could take SIGURG would steal the latch wake-ups of the process).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace backup_ext {

// kLow gives the processor to others first where there are not enough (nice 5).
enum class ThreadPriority { kNormal, kLow };

class WorkerPool {
 public:
  // The argument is the number of the thread, 0 to threads - 1: for state a thread owns.
  using Task = std::function<void(int thread)>;

  // `threads` >= 1; at most `queue_limit` tasks wait.
  WorkerPool(int threads, size_t queue_limit, ThreadPriority priority = ThreadPriority::kNormal);
  // Stops: drops waiting tasks, sets stop_requested(), joins.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False, at once, when the queue is full: the caller goes to its pause point and tries again.
  // Rethrows a task's error. Only the owning thread may call this and the two below.
  [[nodiscard]] bool TryPost(Task task);
  // Waits up to `timeout_ms` for room in the queue (WaitForRoom) or for every task to be done
  // (DrainFor). True when there is. Rethrows the first error of a task, after which no further
  // task is started.
  [[nodiscard]] bool WaitForRoom(int timeout_ms);
  [[nodiscard]] bool DrainFor(int timeout_ms);

  // Long tasks look at this at least once a megabyte and return early when it is set.
  [[nodiscard]] bool stop_requested() const;
  // Sets stop_requested() without waiting. Safe from any thread.
  void RequestStop();

  [[nodiscard]] int threads() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
