// What a job says, from its worker to its caller, in shared memory.
#pragma once

#include "shared_state.h"

namespace backup_ext {

// Shows the caller of the job, if one waits, a NOTICE within a moment. Where more than kNoticeRoom
// come in that moment, he is told how many were left out. Worker side; PostgreSQL call.
void PostNotice(JobSlot* slot, const char* text);

// The caller's side: shows what the job has said since. `shown` counts it.
void ShowNotices(const JobSlot* slot, volatile uint32* shown);

}  // namespace backup_ext
