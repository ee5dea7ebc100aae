// One backup of the list, as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "format/record.h"
#include "store/notes.h"

namespace backup_ext {

// The columns of backup_list() that need no settings of a server; doc/reference.md, "JSON".
[[nodiscard]] nlohmann::json BackupJson(const BackupRecord& record, const BackupNotes& notes);

// "infinity" for a pin without end, and for one that cannot be read; empty: not pinned.
[[nodiscard]] std::string PinnedUntil(const BackupNotes& notes);

}  // namespace backup_ext
