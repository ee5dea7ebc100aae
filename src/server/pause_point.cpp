// Where a worker's main thread listens while threads work.
#include "pause_point.h"

#include "base/error.h"

#include "guard.h"
#include "postgres_headers.h"
#include "progress_meter.h"
#include "version.h"

namespace backup_ext {

void ThrowIfJobMustEnd(const JobSlot& job) {
  if (!PostmasterIsAlive()) {
    throw Error(ErrorCode::kTerminated, "terminating job due to unexpected postmaster exit");
  }
  if (ProcDiePending) {
    throw Error(ErrorCode::kTerminated, "terminating job due to administrator command");
  }
  if (QueryCancelPending || job.cancel_requested) {
    throw Error(ErrorCode::kCanceled, "canceling job due to user request");
  }
}

void PausePoint(JobSlot& job) {
  ThrowIfJobMustEnd(job);
  MeterProgress(&job);
  CallPostgresUninterrupted([&job] {
    ResetLatch(MyLatch);
    ServeMainLoopInterrupts();
    MirrorProgress(job);
  });
}

}  // namespace backup_ext
