// What a restore will write, known before it writes anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "format/manifest.h"
#include "format/record.h"
#include "restore/stage_tree.h"
#include "restore/wal_plan.h"
#include "store/repository.h"

namespace backup_ext {

// What happens to one entry of the manifest.
enum class Fate {
  kWrite,
  kCapture,  // its content is needed in memory: settings are rewritten, pg_control comes last
  kSkip,     // never restored: made anew, or dangerous in a copy
};
[[nodiscard]] Fate FateOf(const ManifestEntry& entry);

// The size of the file as it is written: WAL is filled up to its segment.
[[nodiscard]] uint64_t WrittenBytes(const ManifestEntry& entry, const BackupRecord& record);

inline constexpr std::string_view kWalPrefix = "pg_wal/";
// Room is counted in these.
inline constexpr uint64_t kDiskBlockBytes = 4096;

struct RestorePlan {
  uint64_t files = 0;
  uint64_t bytes = 0;                             // plain size of all files
  uint64_t main_bytes = 0;                        // room in the data directory, blocks rounded up
  std::map<uint32_t, uint64_t> tablespace_bytes;  // room in each tablespace's directory, by oid
  std::set<std::string> removed;   // paths of section 1 that do not belong to the backup
  std::set<uint32_t> tablespaces;  // oids with a link on the origin
  std::map<uint32_t, std::string> tablespace_origins;  // and where that leads
  WalFiles wal;
  // Tablespaces that are directories of pg_tblspc on the origin (allow_in_place_tablespaces).
  bool has_in_place_tablespace = false;
  bool has_configuration_folder = false;  // the origin has a backup_ext_conf of its own
  bool group_access = false;              // initdb --allow-group-access
  FileOwner owner;                        // of the origin's files
};

// Reads the manifest once. Throws Error(kDamaged) when it is not that of the record, or lacks what
// every backup must have: PG_VERSION, pg_control, the map of the shared relations, backup_label,
// all WAL up to the stop. (Of no database it can be said that it must be there.)
[[nodiscard]] RestorePlan MakePlan(const Repository& repository, const BackupRecord& record,
                                   const std::function<void()>& pause_point);

// Room that something else needs; without a directory none.
struct OtherRoom {
  std::string directory;
  uint64_t bytes = 0;
};

// Throws Error(kNoSpace) with figures unless `directory` and its tablespaces fit. `places`: where
// those are that do not lie in `<directory>.tablespaces`, by oid. `reusable`: bytes of each file
// system (device number) that are in use now and will be written over or given back.
void CheckFreeSpace(const std::string& directory, const BackupRecord& record,
                    const RestorePlan& plan, const std::map<uint32_t, std::string>& places = {},
                    const std::map<dev_t, uint64_t>& reusable = {}, const OtherRoom& other = {});

}  // namespace backup_ext
