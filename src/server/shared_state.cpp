// What lives in shared memory: asked for and made with the hooks that work from 15 to 19.
#include "shared_state.h"

#include <cstring>
#include <new>

namespace backup_ext {
namespace {

constexpr const char* kTranche = "backup_ext";

SharedState* shared_state = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

void Request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
  RequestNamedLWLockTranche(kTranche, 1);
}

// The postmaster's own memory outlives what a crash of its children takes.
void CountCrash() {
  static int starts = 0;
  shared_state->crashes = starts++;
  if (shared_state->crashes > 0) shared_state->last_crash = GetCurrentTimestamp();
}

void Startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found = false;
  void* const memory = ShmemInitStruct("backup_ext", sizeof(SharedState), &found);
  if (!found) {
    std::memset(memory, 0, sizeof(SharedState));
    new (memory) SharedState();
  }
  shared_state = static_cast<SharedState*>(memory);
  if (!found) {
    shared_state->lock = &GetNamedLWLockTranche(kTranche)->lock;
    shared_state->up_since = GetCurrentTimestamp();
    CountCrash();
  }
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void RequestSharedState() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = Request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = Startup;
}

SharedState* GetSharedState() { return shared_state; }

}  // namespace backup_ext
