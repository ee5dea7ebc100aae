// A background worker with live threads, whose main thread waits for them in several ways.
//
// Its marks are files in the data directory, the working directory of every server process:
// border_running once all threads run, border_joined once all were joined.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "base/worker_pool.h"

#include "boundary.h"
#include "guard.h"
#include "pause_point.h"
#include "shared_state.h"

#include "border.h"

namespace backup_ext_border {

using backup_ext::CallPostgresUninterrupted;
using backup_ext::JobSlot;
using backup_ext::PlainError;
using backup_ext::WorkerPool;

namespace {

constexpr int kThreads = 4;
constexpr int kPauseMs = 20;

void Mark(const char* name, const std::string& text) {
  const int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    throw backup_ext::SystemError(std::string("create file \"") + name + "\"", errno);
  }
  const ssize_t written = write(descriptor, text.data(), text.size());
  close(descriptor);
  if (written != static_cast<ssize_t>(text.size())) {
    throw backup_ext::SystemError(std::string("write file \"") + name + "\"", errno);
  }
}

struct Threads {
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
};

// Made before the pool, so destroyed after it: says how many threads had ended by then.
class MarkWhenJoined {
 public:
  explicit MarkWhenJoined(const Threads* threads) : threads_(threads) {}
  ~MarkWhenJoined() {
    try {
      Mark("border_joined", std::to_string(threads_->ended) + " of " + std::to_string(kThreads));
    } catch (const backup_ext::Error&) {
      // The missing file fails the test.
    }
  }
  MarkWhenJoined(const MarkWhenJoined&) = delete;
  MarkWhenJoined& operator=(const MarkWhenJoined&) = delete;

 private:
  const Threads* threads_;
};

// Shows the setting border.note, as this process sees it, in pg_stat_activity.
void ShowNote() {
  const char* const note = GetConfigOption("border.note", true, false);
  pgstat_report_appname(note == nullptr ? "" : note);
}

// One look of the main thread at the world. "naive" is what every PostgreSQL loop does; "deaf"
// looks for the end of the job alone.
void Look(std::string_view loop, JobSlot& job) {
  if (loop == "naive") {
    CHECK_FOR_INTERRUPTS();
  } else if (loop == "deaf") {
    backup_ext::ThrowIfJobMustEnd(job);
  } else {
    backup_ext::PausePoint(job);
    CallPostgresUninterrupted([] { ShowNote(); });
  }
}

void RunUntilEnded(std::string_view loop) {
  const bool naive = loop == "naive";
  JobSlot job{};
  Threads threads;
  const MarkWhenJoined mark(&threads);
  WorkerPool pool(kThreads, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    // Those of the naive loop touch nothing that is gone when the loop is jumped out of: what would
    // happen then is the danger, not the proof.
    const bool posted = pool.TryPost([&pool, &threads, naive](int) {
      ++threads.started;
      while (naive || !pool.stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ++threads.ended;
    });
    if (!posted) throw backup_ext::Error(backup_ext::ErrorCode::kInternal, "no room for a task");
  }
  while (threads.started < kThreads) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Mark("border_running", "yes");
  if (loop == "canceled job") job.cancel_requested = true;
  while (!pool.DrainFor(kPauseMs)) Look(loop, job);
}

BackgroundWorker WorkerNamed(const char* loop) {
  BackgroundWorker worker = {};
  snprintf(worker.bgw_name, sizeof(worker.bgw_name), "border %s", loop);
  snprintf(worker.bgw_type, sizeof(worker.bgw_type), "border");
  snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "backup_ext_border");
  snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "border_worker_main");
  snprintf(worker.bgw_extra, sizeof(worker.bgw_extra), "%s", loop);
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  worker.bgw_notify_pid = MyProcPid;
  return worker;
}

}  // namespace
}  // namespace backup_ext_border

extern "C" {

using namespace backup_ext_border;

PG_FUNCTION_INFO_V1(border_start_worker);
PGDLLEXPORT void border_worker_main(Datum argument);

Datum border_start_worker(PG_FUNCTION_ARGS) {
  BackgroundWorker worker = WorkerNamed(Text(fcinfo, 0));
  BackgroundWorkerHandle* handle = nullptr;
  if (!RegisterDynamicBackgroundWorker(&worker, &handle)) {
    ereport(ERROR, (errmsg("could not register background worker")));
  }
  pid_t pid = 0;
  if (WaitForBackgroundWorkerStartup(handle, &pid) != BGWH_STARTED) {
    ereport(ERROR, (errmsg("could not start background worker")));
  }
  PG_RETURN_INT32(pid);
}

// As the worker of backup_ext.
void border_worker_main(Datum /*argument*/) {
  const char* const loop = MyBgworkerEntry->bgw_extra;
  pqsignal(SIGTERM, die);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  PlainError error;
  if (!RunCatchingAll([loop] { RunUntilEnded(loop); }, &error)) {
    QueryCancelPending = false;
    ReportPlainError(error, ERROR);
  }
  proc_exit(0);
}

}  // extern "C"
