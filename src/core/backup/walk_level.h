// One directory on the way of a walk in the order of a manifest: full paths ascend byte by byte,
// `a`, then `a.b`, then `a/c`.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/file.h"

namespace backup_ext {

struct WalkLevel {
  std::string path;  // relative to where the walk began; empty for itself
  std::vector<DirectoryEntry> names;
  size_t next = 0;
  std::set<std::string> descents;  // directories seen and not entered yet, each with its '/'
};

enum class WalkStep {
  kVisit,  // `*name`
  kEnter,  // the directory `*name`, which was visited before
  kLeave,  // there is nothing more
};

// What comes next in this directory.
[[nodiscard]] WalkStep NextStep(WalkLevel* level, std::string* name);

}  // namespace backup_ext
