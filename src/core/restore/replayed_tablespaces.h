// Keeps the replay of WAL away from the tablespaces of the origin.
//
// The WAL of a backup names the directory of every tablespace that was made while it was taken.
// Replayed as it stands, CREATE TABLESPACE would link the copy to that directory: on the origin's
// own machine the copy would write into the origin's files, and remove them with DROP TABLESPACE.
// So these records are given no directory, and the stage gets a link to a directory of its own for
// each of them: a record without a directory leaves what pg_tblspc has under its number, and makes
// in it what is missing. The replay of DROP TABLESPACE removes that link.
// Source: src/backend/commands/tablespace.c, create_tablespace_directories(), tblspc_redo(); the
// same in 15 to 19.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "base/bytes.h"
#include "format/record.h"
#include "restore/stage_tree.h"
#include "restore/wal_plan.h"

namespace backup_ext {

struct ReplayedTablespaces {
  std::set<uint32_t> linked;  // had a directory: each needs a link before the copy is started
  bool has_in_place = false;  // one had none on the origin either (allow_in_place_tablespaces)
};

// Reads all the WAL in the pg_wal of the stage and changes what there is to change. Throws
// Error(kDamaged) when WAL ends before the backup does: what comes after could not be looked at.
[[nodiscard]] ReplayedTablespaces DetachReplayedTablespaces(
    const StageTree& tree, const BackupRecord& record, const WalFiles& wal,
    const std::function<void()>& pause_point);

// The same for WAL that is in no stage; changes nothing. `read_segment`: the whole segment of that
// name.
using ReadSegment = std::function<Bytes(const std::string& name)>;
[[nodiscard]] ReplayedTablespaces FindReplayedTablespaces(const BackupRecord& record,
                                                          const WalFiles& wal,
                                                          const ReadSegment& read_segment,
                                                          const std::function<void()>& pause_point);

}  // namespace backup_ext
