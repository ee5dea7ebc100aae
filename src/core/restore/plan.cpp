// What a restore will write, known before it writes anything.
#include "restore/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/cluster_memory.h"
#include "restore/configuration.h"
#include "restore/target_place.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

// A started copy writes WAL of its own: room for a segment or two, and for our small files.
constexpr uint64_t kReserveBytes = 32ULL * 1024 * 1024;

bool IsOrLiesIn(std::string_view path, std::string_view folder) {
  return path.substr(0, folder.size()) == folder &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

uint64_t AddChecked(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    throw Error(ErrorCode::kDamaged, "the sizes in its manifest are beyond all bounds");
  }
  return sum;
}

void PlanFile(const ManifestEntry& entry, const BackupRecord& record, RestorePlan* plan) {
  const uint64_t bytes = WrittenBytes(entry, record);
  const uint64_t rounded =
      AddChecked(bytes, kDiskBlockBytes - 1) / kDiskBlockBytes * kDiskBlockBytes;
  const auto oid = TablespaceOfPath(entry.path);
  const bool in_tablespace =
      entry.kind == EntryKind::kFile && oid && plan->tablespaces.count(*oid) != 0;
  uint64_t* room = in_tablespace ? &plan->tablespace_bytes[*oid] : &plan->main_bytes;
  *room = AddChecked(*room, rounded);
  plan->bytes = AddChecked(plan->bytes, entry.size_bytes);
  plan->files++;
  if (entry.kind == EntryKind::kFile && IsOrLiesIn(entry.path, "pg_wal") &&
      entry.path.size() > kWalPrefix.size()) {
    plan->wal[entry.path.substr(kWalPrefix.size())] = entry.size_bytes;
  }
}

void PlanDirectory(const ManifestEntry& entry, RestorePlan* plan) {
  plan->main_bytes = AddChecked(plan->main_bytes, kDiskBlockBytes);
  if (entry.path == "global") {
    plan->owner = {entry.uid, entry.gid};
    plan->group_access = (entry.mode & 0050) == 0050;
  }
  const auto oid = TablespaceOfPath(entry.path);
  if (oid && entry.path == fmt::format("pg_tblspc/{}", *oid)) plan->has_in_place_tablespace = true;
}

void PlanEntry(const ManifestEntry& entry, const BackupRecord& record, RestorePlan* plan) {
  if (IsOrLiesIn(entry.path, kConfigurationFolder)) plan->has_configuration_folder = true;
  switch (entry.kind) {
    case EntryKind::kDirectory:
      PlanDirectory(entry, plan);
      break;
    case EntryKind::kTablespaceLink: {
      const auto oid = TablespaceOfPath(entry.path);
      if (!oid || entry.path != fmt::format("pg_tblspc/{}", *oid)) {
        throw Error(ErrorCode::kDamaged,
                    fmt::format("\"{}\" is not the path of a tablespace", entry.path));
      }
      plan->tablespaces.insert(*oid);
      plan->tablespace_origins[*oid] = entry.link_target;
      break;
    }
    case EntryKind::kRemoved:
      plan->removed.insert(entry.path);
      break;
    case EntryKind::kSymbolicLink:
    case EntryKind::kHardLink:
      throw Error(ErrorCode::kDamaged,
                  fmt::format("\"{}\" is a link, which no data directory holds", entry.path));
    case EntryKind::kFile:
    case EntryKind::kConfiguration:
      if (FateOf(entry) != Fate::kSkip) PlanFile(entry, record, plan);
      break;
  }
}

}  // namespace

Fate FateOf(const ManifestEntry& entry) {
  if (entry.kind == EntryKind::kConfiguration) return Fate::kWrite;
  if (IsOrLiesIn(entry.path, kStageFolder)) return Fate::kSkip;  // the origin was a stage once
  constexpr std::array<std::string_view, 7> kNever = {
      "postmaster.pid", "postmaster.opts",          "standby.signal", "recovery.signal",
      "tablespace_map", "postgresql.auto.conf.tmp", "backup_manifest"};
  if (std::find(kNever.begin(), kNever.end(), entry.path) != kNever.end()) return Fate::kSkip;
  // A copy does not go on where the origin was, so it must not look like it.
  if (IsClusterMemoryFile(entry.path)) return Fate::kSkip;
  // Old .ready files would make an activated copy archive again what is in the archive.
  if (IsOrLiesIn(entry.path, "pg_wal/archive_status") ||
      IsOrLiesIn(entry.path, "pg_wal/summaries")) {
    return Fate::kSkip;
  }
  if (entry.path == "global/pg_control" || entry.path == "postgresql.conf" ||
      entry.path == "postgresql.auto.conf") {
    return Fate::kCapture;
  }
  return Fate::kWrite;
}

uint64_t WrittenBytes(const ManifestEntry& entry, const BackupRecord& record) {
  if (entry.file_kind == FileKind::kWal) {
    return std::max<uint64_t>(entry.size_bytes, record.wal_segment_bytes);
  }
  return entry.size_bytes;
}

RestorePlan MakePlan(const Repository& repository, const BackupRecord& record,
                     const std::function<void()>& pause_point) {
  CheckManifestObject(repository, record, pause_point);
  RestorePlan plan;
  std::set<std::string> missing = {"PG_VERSION", "global/pg_control", "global/pg_filenode.map",
                                   "backup_label"};
  Microseconds next_pause = MonotonicNow();
  const auto reader = OpenManifest(repository, record);
  while (const auto entry = reader->Next()) {
    PlanEntry(*entry, record, &plan);
    if (entry->kind == EntryKind::kFile && entry->size_bytes > 0) missing.erase(entry->path);
    if (MonotonicNow() >= next_pause) {
      pause_point();
      next_pause = MonotonicNow() + kPauseEvery;
    }
  }
  if (!missing.empty()) {
    throw Error(ErrorCode::kDamaged, fmt::format("it holds no \"{}\"", *missing.begin()),
                "A server cannot be started from it.");
  }
  CheckWalIsComplete(record, plan.wal);
  return plan;
}

void CheckFreeSpace(const std::string& directory, const BackupRecord& record,
                    const RestorePlan& plan, const std::map<uint32_t, std::string>& places,
                    const std::map<dev_t, uint64_t>& reusable, const OtherRoom& other) {
  struct Need {
    std::string place;
    uint64_t bytes = 0;
  };
  std::map<dev_t, Need> needs;  // of each file system
  const auto add = [&](const std::string& path, uint64_t bytes) {
    const std::string place = StatFile(path) ? path : ParentDirectory(path);
    const auto status = StatFile(place);
    if (!status) throw SystemError(fmt::format("read the status of \"{}\"", place), ENOENT);
    Need& need = needs.try_emplace(status->st_dev, Need{place}).first->second;
    need.bytes = AddChecked(need.bytes, bytes);
  };
  add(directory, AddChecked(plan.main_bytes, kReserveBytes));
  for (const auto& [oid, bytes] : plan.tablespace_bytes) {
    const auto place = places.find(oid);
    add(place == places.end() ? TablespacesDirectory(directory) : place->second, bytes);
  }
  if (!other.directory.empty()) add(other.directory, other.bytes);
  for (const auto& [device, need] : needs) {
    const auto there = reusable.find(device);
    const uint64_t free =
        AddChecked(FreeBytes(need.place), there == reusable.end() ? 0 : there->second);
    if (need.bytes <= free) continue;
    throw Error(ErrorCode::kNoSpace,
                fmt::format("not enough space in \"{}\" to restore backup {}", need.place,
                            record.backup_id),
                fmt::format("The restore needs {} bytes; {} bytes are free.", need.bytes, free),
                "Free some space, or choose a directory on another file system.");
  }
}

}  // namespace backup_ext
