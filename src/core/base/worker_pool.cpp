// Threads that take tasks from one bounded queue.
#include "base/worker_pool.h"

#include <fmt/core.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace backup_ext {
namespace {

// A new thread inherits the mask of its maker. Signals that say "this thread did something
// impossible" stay open: blocked, they would end the process without its handler.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
      sigdelset(&blocked, fault);
    }
    if (const int error_number = pthread_sigmask(SIG_SETMASK, &blocked, &saved_)) {
      throw SystemError("block signals", error_number);
    }
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t saved_;
};

// Of this thread alone: on Linux each has its own. Where it is refused it stays as it is.
void LowerPriority() {
  constexpr int kNice = 5;
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()),
                    getpriority(PRIO_PROCESS, 0) + kNice);
}

}  // namespace

struct WorkerPool::State {
  explicit State(size_t limit) : queue_limit(limit) {}
  ~State();

  void Work(int thread) noexcept;
  void RethrowError() const;
  template <typename Condition>
  bool WaitFor(int timeout_ms, Condition condition);

  const size_t queue_limit;
  std::atomic<bool> stop{false};

  std::mutex mutex;  // guards what follows, but not `threads`
  std::condition_variable work_changed;
  std::condition_variable owner_waits;
  std::deque<Task> waiting;
  size_t running = 0;
  bool closing = false;
  std::exception_ptr first_error;

  std::vector<std::thread> threads;
};

WorkerPool::State::~State() {
  stop = true;
  std::deque<Task> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    closing = true;
    dropped.swap(waiting);
  }
  work_changed.notify_all();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

void WorkerPool::State::Work(int thread) noexcept {
  std::unique_lock<std::mutex> lock(mutex);
  while (true) {
    work_changed.wait(lock, [this] { return closing || first_error || !waiting.empty(); });
    if (closing || first_error) {
      return;
    }
    Task task = std::move(waiting.front());
    waiting.pop_front();
    ++running;
    lock.unlock();
    owner_waits.notify_one();

    std::exception_ptr error;
    try {
      task(thread);
    } catch (...) {
      error = std::current_exception();
    }
    task = nullptr;  // what it holds dies before it counts as done, and not under the lock

    lock.lock();
    --running;
    if (error && !first_error) {
      first_error = std::move(error);
      stop = true;
      work_changed.notify_all();
    }
    owner_waits.notify_one();
  }
}

void WorkerPool::State::RethrowError() const {
  if (first_error) {
    std::rethrow_exception(first_error);
  }
}

template <typename Condition>
bool WorkerPool::State::WaitFor(int timeout_ms, Condition condition) {
  std::unique_lock<std::mutex> lock(mutex);
  const auto timeout = std::chrono::milliseconds(std::max(timeout_ms, 0));
  const bool reached = owner_waits.wait_for(
      lock, timeout, [this, &condition] { return first_error || condition(); });
  RethrowError();
  return reached;
}

WorkerPool::WorkerPool(int threads, size_t queue_limit, ThreadPriority priority)
    : state_(std::make_unique<State>(queue_limit)) {
  if (threads < 1 || queue_limit < 1) {
    throw Error(ErrorCode::kInternal, "worker pool needs a thread and room for a task");
  }
  state_->threads.reserve(static_cast<size_t>(threads));
  const AllSignalsBlocked blocked;
  try {
    for (int i = 0; i < threads; ++i) {
      state_->threads.emplace_back([state = state_.get(), i, priority] {
        if (priority == ThreadPriority::kLow) LowerPriority();
        state->Work(i);
      });
    }
  } catch (const std::system_error& error) {
    throw SystemError("start worker thread", error.code().value());
  } catch (const std::bad_alloc&) {
    throw SystemError("start worker thread", ENOMEM);
  }
}

WorkerPool::~WorkerPool() = default;

bool WorkerPool::TryPost(Task task) {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->RethrowError();
    if (state_->waiting.size() >= state_->queue_limit) {
      return false;
    }
    state_->waiting.push_back(std::move(task));
  }
  state_->work_changed.notify_one();
  return true;
}

bool WorkerPool::WaitForRoom(int timeout_ms) {
  return state_->WaitFor(timeout_ms,
                         [this] { return state_->waiting.size() < state_->queue_limit; });
}

bool WorkerPool::DrainFor(int timeout_ms) {
  return state_->WaitFor(timeout_ms,
                         [this] { return state_->waiting.empty() && state_->running == 0; });
}

bool WorkerPool::stop_requested() const { return state_->stop; }
void WorkerPool::RequestStop() { state_->stop = true; }
int WorkerPool::threads() const { return static_cast<int>(state_->threads.size()); }

}  // namespace backup_ext
