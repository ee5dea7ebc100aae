// The pool: every task once, bounded, first error wins, no signals, no thread left behind.
#include "base/worker_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <new>
#include <thread>

#include "base/error.h"

namespace backup_ext {
namespace {

void Post(WorkerPool* pool, const WorkerPool::Task& task) {
  while (!pool->TryPost(task)) {
    static_cast<void>(pool->WaitForRoom(100));
  }
}

void Drain(WorkerPool* pool) {
  while (!pool->DrainFor(100)) {
  }
}

TEST(WorkerPool, RunsEveryTaskOnce) {
  constexpr int tasks = 100'000;
  std::vector<std::atomic<int>> runs(tasks);
  std::atomic<bool> thread_in_range{true};
  WorkerPool pool(4, 64);
  for (int i = 0; i < tasks; ++i) {
    Post(&pool, [&runs, &thread_in_range, i](int thread) {
      runs[static_cast<size_t>(i)]++;
      if (thread < 0 || thread >= 4) {
        thread_in_range = false;
      }
    });
  }
  Drain(&pool);
  EXPECT_TRUE(thread_in_range);
  EXPECT_TRUE(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
}

TEST(WorkerPool, BlocksSignalsInThreadsOnly) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::promise<sigset_t> in_thread;
  WorkerPool pool(1, 1);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  Post(&pool, [&in_thread](int) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    in_thread.set_value(mask);
  });
  const sigset_t mask = in_thread.get_future().get();
  for (const int blocked : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGURG, SIGALRM, SIGQUIT, SIGCHLD}) {
    EXPECT_EQ(sigismember(&mask, blocked), 1) << blocked;
    EXPECT_EQ(sigismember(&after, blocked), sigismember(&before, blocked)) << blocked;
  }
  for (const int open : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    EXPECT_EQ(sigismember(&mask, open), 0) << open;
  }
}

TEST(WorkerPool, RethrowsTheFirstErrorOnTheOwnersThread) {
  WorkerPool pool(2, 10);
  Post(&pool, [](int) { throw Error(ErrorCode::kNoSpace, "first"); });
  const auto message_of = [](auto call) -> std::string {
    try {
      while (!call()) {
      }
    } catch (const Error& error) {
      return error.message();
    }
    return "no error";
  };
  EXPECT_EQ(message_of([&] { return pool.DrainFor(10); }), "first");
  EXPECT_EQ(message_of([&] { return pool.WaitForRoom(10); }), "first");
  EXPECT_EQ(message_of([&] { return pool.TryPost([](int) {}); }), "first");
  EXPECT_TRUE(pool.stop_requested());
}

TEST(WorkerPool, StartsNoTaskAfterAnError) {
  std::atomic<int> started{0};
  std::promise<void> go;
  WorkerPool pool(1, 10);
  Post(&pool, [&go](int) {
    go.get_future().wait();
    throw std::bad_alloc();
  });
  for (int i = 0; i < 5; ++i) {
    Post(&pool, [&started](int) { ++started; });
  }
  go.set_value();
  EXPECT_THROW(Drain(&pool), std::bad_alloc);
  EXPECT_EQ(started, 0);
}

TEST(WorkerPool, SurvivesWhatIsNoStandardException) {
  WorkerPool pool(1, 1);
  Post(&pool, [](int) { throw 42; });
  EXPECT_THROW(Drain(&pool), int);
}

TEST(WorkerPool, QueueIsBounded) {
  std::promise<void> go, running;
  WorkerPool pool(1, 2);
  Post(&pool, [&go, &running](int) {
    running.set_value();
    go.get_future().wait();
  });
  running.get_future().wait();
  EXPECT_TRUE(pool.TryPost([](int) {}));
  EXPECT_TRUE(pool.TryPost([](int) {}));
  EXPECT_FALSE(pool.TryPost([](int) {}));
  EXPECT_FALSE(pool.WaitForRoom(20));
  EXPECT_FALSE(pool.DrainFor(20));
  go.set_value();
  Drain(&pool);
  EXPECT_TRUE(pool.WaitForRoom(0));
}

TEST(WorkerPool, DestructorStopsTasksAndDropsTheRest) {
  std::atomic<bool> saw_stop{false};
  std::atomic<int> dropped_ran{0};
  {
    std::promise<void> running;
    WorkerPool pool(1, 10);
    Post(&pool, [&](int) {
      running.set_value();
      while (!pool.stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      saw_stop = true;
    });
    running.get_future().wait();
    for (int i = 0; i < 5; ++i) {
      Post(&pool, [&dropped_ran](int) { ++dropped_ran; });
    }
  }
  EXPECT_TRUE(saw_stop);
  EXPECT_EQ(dropped_ran, 0);
}

TEST(WorkerPool, RequestStopIsSeenByTasks) {
  WorkerPool pool(2, 2);
  EXPECT_FALSE(pool.stop_requested());
  Post(&pool, [&pool](int) {
    while (!pool.stop_requested()) {
      std::this_thread::yield();
    }
  });
  pool.RequestStop();
  Drain(&pool);
  EXPECT_EQ(pool.threads(), 2);
}

TEST(WorkerPool, RefusesToBeEmpty) {
  EXPECT_THROW(WorkerPool(0, 1), Error);
  EXPECT_THROW(WorkerPool(1, 0), Error);
}

TEST(WorkerPool, LowPriorityIsThatOfItsThreadsAlone) {
  const int before = getpriority(PRIO_PROCESS, 0);
  std::atomic<int> low{0};
  std::atomic<int> normal{0};
  {
    WorkerPool pool(1, 1, ThreadPriority::kLow);
    ASSERT_TRUE(pool.TryPost([&](int) { low = getpriority(PRIO_PROCESS, 0); }));
    while (!pool.DrainFor(100)) {
    }
  }
  {
    WorkerPool pool(1, 1);
    ASSERT_TRUE(pool.TryPost([&](int) { normal = getpriority(PRIO_PROCESS, 0); }));
    while (!pool.DrainFor(100)) {
    }
  }
  EXPECT_EQ(low, std::min(before + 5, 19));
  EXPECT_EQ(normal, before);
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), before);
}

}  // namespace
}  // namespace backup_ext
