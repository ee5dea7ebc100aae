// Where a worker's main thread listens while threads work: about every 100 ms.
//
// No PostgreSQL call that can end the process may run while threads live: a FATAL under live
// threads crashed the whole server. So a pending cancel or terminate becomes a C++ exception here,
// which joins the threads on its way; the outermost frame reports it. CHECK_FOR_INTERRUPTS is never
// used.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// Throws Error(kCanceled) or Error(kTerminated) when the job must end; otherwise serves barriers
// and configuration reload (so that DROP DATABASE and others do not wait for us), and shows how far
// the job is.
void PausePoint(JobSlot& job);

// The same check alone, without serving anything.
void ThrowIfJobMustEnd(const JobSlot& job);

}  // namespace backup_ext
