// Reads every frame of a backup back and says which files are damaged. Writes nothing.
//
// record -> manifest (whole, this backup's) -> what must be there is there -> every file on the
// pool, WAL in order on a thread of its own. Damage never ends it; memory is bounded whatever is
// found: threads x the frames of FrameSource, one batch of entries each, kVerifyProblemLimit rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "format/record.h"
#include "store/repository.h"
#include "verify/problem_list.h"

namespace backup_ext {

struct VerifyResult {
  // One a damaged file, sorted by path; empty when the backup is sound.
  std::vector<VerifyProblem> problems;
  uint64_t damaged_files = 0;  // more than there are rows beyond kVerifyProblemLimit
  uint64_t checked_bytes = 0;  // plain
};

// `backup_id` names one backup: "latest" is for the caller to resolve. A record that is damaged is
// a row too. `pause_point` is called about every 100 ms; its exception ends the run. Throws Error:
// kNotFound, kNoRepository, and what reading the repository as a whole throws.
[[nodiscard]] VerifyResult VerifyBackup(const Repository& repository, std::string_view backup_id,
                                        int threads, Progress* progress,
                                        const std::function<void()>& pause_point);

}  // namespace backup_ext
