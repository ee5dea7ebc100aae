// The history of runs as the server keeps it: in the repository, and, until it can be written
// there, in the data directory (backup_ext/runs/<job-id>.json).
//
// A run leaves a file there when it begins. Who finds that file without its job knows that the
// server or the process died; whether a backup was complete by then, the repository knows. The
// directory is in no backup: a restored cluster has the history of its repository, never another's
// unfinished runs.
#pragma once

#include <vector>

#include "format/run_report.h"

namespace backup_ext {

// Never throw: a run is as good as it is whether it can be remembered or not. Both also bring what
// earlier runs left behind into the repository, where it can be reached.
void RememberBegin(const RunReport& report) noexcept;
void RememberEnd(const RunReport& report) noexcept;

// Every run that is over and started at `since` or later, newest first: from the repository and
// from here. When the repository cannot be read, `*problem` says why and what is here is returned.
[[nodiscard]] std::vector<RunReport> RunsSince(Microseconds since, std::string* problem);

}  // namespace backup_ext
