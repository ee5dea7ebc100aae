// The end of a job as plain data, and the report that is made of it.
#pragma once

#include "format/run_report.h"

#include "shared_state.h"

namespace backup_ext {

// `error` is null for a success. Plain data: may be called from an exit callback.
void DescribeEnd(const JobSlot& slot, const PlainError* error, JobEnd* end);

[[nodiscard]] RunReport ReportOf(const JobEnd& end);

// As the log and pg_stat_activity name a job: `backup 20261123-...`, `restore stage-...`.
void NameJob(const JobRequest& request, char* text, size_t room);

}  // namespace backup_ext
