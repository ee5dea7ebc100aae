// One directory on the way of a walk in the order of a manifest.
#include "backup/walk_level.h"

#include <utility>

namespace backup_ext {

WalkStep NextStep(WalkLevel* level, std::string* name) {
  const bool has_name = level->next < level->names.size();
  if (!level->descents.empty() &&
      (!has_name || *level->descents.begin() < level->names[level->next].name)) {
    *name = *level->descents.begin();
    level->descents.erase(level->descents.begin());
    name->pop_back();
    return WalkStep::kEnter;
  }
  if (!has_name) return WalkStep::kLeave;
  // Moved out, so that a listing shrinks while it is walked.
  *name = std::move(level->names[level->next++].name);
  return WalkStep::kVisit;
}

}  // namespace backup_ext
