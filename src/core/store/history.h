// The history of a repository: one small object a run, failed ones too. It lies in the repository
// so that it outlives every restore of the cluster.
#pragma once

#include <string>
#include <vector>

#include "format/run_report.h"
#include "store/repository.h"

namespace backup_ext {

// Durable when it returns. A report of that job that is there already stays as it is. No lock is
// needed.
void AddToHistory(const Repository& repository, const RunReport& report);

// Every run that started at `since` or later, newest first. One that cannot be read has the result
// "unreadable", its `error` says why, and `started_at` is that of its job id.
[[nodiscard]] std::vector<RunReport> ReadHistory(const Repository& repository, Microseconds since);

// Removes the months that ended before `before`. Returns the number of reports removed.
uint64_t PruneHistory(const Repository& repository, Microseconds before);

}  // namespace backup_ext
