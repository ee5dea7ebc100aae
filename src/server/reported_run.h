// The frame around the work of every job: its lines in the server log and its place in the history.
#pragma once

#include <functional>

#include "shared_state.h"

namespace backup_ext {

// Runs `work` and passes its exception on. No thread lives before and after it.
void RunReported(JobSlot* slot, const std::function<void()>& work);

// `backup_ext: backup 20261123-... started: trigger manual, kind auto, workers 2`. A backup's own
// lines are written by its job, for a restore takes one too.
void LogRunStart(const char* operation, const std::string& name, const std::string& details);
// `backup_ext: backup 20261123-... finished: ..., 0.6 s`. `result` may be "failed" or "canceled".
void LogRunEnd(const char* operation, const std::string& name, const char* result,
               const std::string& figures);

}  // namespace backup_ext
