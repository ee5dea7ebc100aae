// An export as tar files, or as one stream. On one thread: an archive is written from its begin to
// its end, and what it waits for is the disk.
#include "restore/export_tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/control_file.h"
#include "restore/exported_configuration.h"
#include "restore/file_writer.h"
#include "restore/kept_entries.h"
#include "restore/last_steps.h"
#include "restore/plan.h"
#include "restore/postgres_manifest.h"
#include "restore/replayed_tablespaces.h"
#include "restore/stage_files.h"
#include "restore/tablespace_links.h"
#include "restore/tar_files.h"
#include "restore/tar_writer.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

// Header and padding of a member, and its line in backup_manifest.
constexpr uint64_t kMemberOverheadBytes = 1536;

// Where the members go. In one stream all are those of `base`.
struct Archives {
  TarWriter* base = nullptr;
  std::map<uint32_t, TarWriter*> tablespaces;
  TarWriter* wal = nullptr;  // its names are those in pg_wal
};

class TarExport {
 public:
  TarExport(const Repository& repository, const BackupRecord& record, const RestorePlan& plan,
            const TablespaceMapping& mapping, const Archives& archives, PostgresManifest* manifest,
            Progress* progress, const std::function<void()>& pause_point)
      : repository_(repository),
        record_(record),
        plan_(plan),
        mapped_(MappedTablespaces(mapping, plan.tablespace_origins)),
        archives_(archives),
        manifest_(manifest),
        progress_(progress),
        pause_point_(pause_point),
        reader_(Surroundings(progress)),
        wal_looker_(Surroundings(&unseen_)),
        configuration_(&record) {}

  // Everything but backup_manifest and the ends of the archives.
  ExportResult Run() {
    ForEachKeptEntry(repository_, record_, plan_, &packs_, progress_, [this](ManifestEntry entry) {
      Place(std::move(entry));
      MaybePause();
    });
    CheckControlFile(control_file_, record_);
    AddFixedDirectories();
    AddWal();
    AddTablespaceMap();
    for (const auto& [name, content] : configuration_.Missing()) AddListed(name, content);
    if (record_.from_standby) archives_.base->AddFile(Member("standby.signal", 0600), "");
    // Last, as the server's own base backup sends it.
    AddListed("global/pg_control", AsText(control_file_));
    return {progress_->bytes_done, progress_->files_done, Tablespaces()};
  }

 private:
  FileWriter::Surroundings Surroundings(Progress* progress) {
    return {&repository_,         &record_,      &packs_, nullptr, nullptr, progress,
            [] { return false; }, kMostOpenPacks};
  }

  void Place(ManifestEntry entry) {
    switch (entry.kind) {
      case EntryKind::kDirectory:
        PlaceDirectory(entry);
        break;
      case EntryKind::kTablespaceLink:  // in tablespace_map
      case EntryKind::kRemoved:
      case EntryKind::kSymbolicLink:  // refused by the plan
      case EntryKind::kHardLink:
        break;
      case EntryKind::kConfiguration:
        configuration_.Take(entry, &reader_);
        break;
      case EntryKind::kFile:
        PlaceFile(std::move(entry));
        break;
    }
  }

  void PlaceDirectory(const ManifestEntry& entry) {
    if (FateOf(entry) == Fate::kSkip) return;
    directories_.insert(entry.path);
    std::string name;
    TarWriter* const archive = ArchiveOf(entry.path, &name);
    if (name.empty()) return;  // the tablespace itself
    TarMember member = Member(std::move(name), entry.mode);
    member.uid = entry.uid;
    member.gid = entry.gid;
    member.mtime_seconds = MtimeSeconds(entry);
    archive->AddDirectory(member);
  }

  void PlaceFile(ManifestEntry entry) {
    if (FateOf(entry) == Fate::kSkip) return;
    configuration_.See(entry.path);
    if (entry.path == "global/pg_control") {
      control_file_ = reader_.Read(entry, kControlFileBytes);
    } else if (entry.path.starts_with(kWalPrefix)) {
      std::string name = entry.path.substr(kWalPrefix.size());
      wal_.emplace(std::move(name), std::move(entry));
    } else {
      std::string name;
      TarWriter* const archive = ArchiveOf(entry.path, &name);
      if (name.empty()) {
        throw Error(ErrorCode::kDamaged,
                    fmt::format("\"{}\" is not the path of a file", entry.path));
      }
      CopyFile(entry, archive, std::move(name));
    }
  }

  // `name`: that of the member; empty for the directory of a tablespace.
  TarWriter* ArchiveOf(const std::string& path, std::string* name) const {
    const auto oid = TablespaceOfPath(path);
    const auto archive = oid ? archives_.tablespaces.find(*oid) : archives_.tablespaces.end();
    if (archive == archives_.tablespaces.end()) {
      *name = path;
      return archives_.base;
    }
    *name = path.substr(std::min(path.size(), fmt::format("pg_tblspc/{}/", *oid).size()));
    return archive->second;
  }

  void CopyFile(const ManifestEntry& entry, TarWriter* archive, std::string name) {
    const uint64_t size = WrittenBytes(entry, record_);
    archive->BeginFile({.name = std::move(name),
                        .size_bytes = size,
                        .mode = entry.mode & 0777,
                        .uid = entry.uid,
                        .gid = entry.gid,
                        .mtime_seconds = MtimeSeconds(entry)});
    uint32_t crc = kCrc32cInit;
    reader_.ForEachWrittenPiece(entry, [&](ByteSpan bytes) {
      archive->Write(bytes);
      crc = Crc32cUpdate(crc, bytes);
      MaybePause();
    });
    archive->EndFile();
    manifest_->Add(entry.path, size, MtimeSeconds(entry), Crc32cFinish(crc));
    progress_->files_done += 1;
  }

  // Those that every cluster must have, whatever the manifest says.
  void AddFixedDirectories() {
    std::set<std::string> fixed = {"pg_wal", "pg_wal/archive_status", "pg_tblspc"};
    if (record_.server_version_num >= 170000) fixed.insert("pg_wal/summaries");
    for (const std::string& path : fixed) {
      if (directories_.count(path) == 0) archives_.base->AddDirectory(Member(path, 0700));
    }
  }

  void AddWal() {
    CheckReplayedTablespaces();
    const std::string prefix(archives_.wal == archives_.base ? kWalPrefix : "");
    for (const auto& [name, entry] : wal_) {
      CopyFile(entry, archives_.wal, prefix + name);
      // What the origin has archived must not be archived again.
      if (name.find('/') != std::string::npos) continue;
      archives_.wal->AddFile(Member(fmt::format("{}archive_status/{}.done", prefix, name), 0600),
                             "");
    }
  }

  void CheckReplayedTablespaces() {
    const auto read_segment = [this](const std::string& name) {
      Bytes segment;
      const auto entry = wal_.find(name);
      if (entry == wal_.end()) return segment;
      wal_looker_.ForEachWrittenPiece(entry->second, [&](ByteSpan bytes) {
        segment.insert(segment.end(), bytes.begin(), bytes.end());
        MaybePause();
      });
      return segment;
    };
    const auto replayed = FindReplayedTablespaces(record_, plan_.wal, read_segment, pause_point_);
    if (replayed.linked.empty()) return;
    throw Error(
        ErrorCode::kNotInPrerequisiteState,
        fmt::format("cannot export backup {} as tar: tablespace {} was created while it was "
                    "taken",
                    record_.backup_id, *replayed.linked.begin()),
        "Its WAL names the origin's directory, into which a server that replays it would "
        "write.",
        "Export it in the plain format, where the tablespace gets a directory of its own.");
  }

  void AddTablespaceMap() {
    const std::vector<ExportedTablespace> tablespaces = Tablespaces();
    if (tablespaces.empty()) return;
    std::string map;
    for (const ExportedTablespace& tablespace : tablespaces) {
      map += TablespaceMapLine(tablespace.oid, tablespace.directory);
    }
    AddListed("tablespace_map", map);
  }

  [[nodiscard]] std::vector<ExportedTablespace> Tablespaces() const {
    std::vector<ExportedTablespace> tablespaces;
    for (const auto& [oid, origin] : plan_.tablespace_origins) {
      const auto mapped = mapped_.find(oid);
      tablespaces.push_back({oid, origin, mapped == mapped_.end() ? origin : mapped->second});
    }
    return tablespaces;
  }

  void AddListed(const std::string& path, std::string_view content) {
    archives_.base->AddFile(Member(path, 0600), content);
    manifest_->Add(path, content);
  }

  // Of what has no entry: the owner is that of the other files.
  [[nodiscard]] TarMember Member(std::string name, uint32_t mode) const {
    return {.name = std::move(name),
            .size_bytes = 0,
            .mode = mode & 0777,
            .uid = plan_.owner.uid,
            .gid = plan_.owner.gid,
            .mtime_seconds = Now() / kMicrosecondsPerSecond};
  }

  void MaybePause() {
    if (MonotonicNow() < next_pause_) return;
    pause_point_();
    next_pause_ = MonotonicNow() + kPauseEvery;
  }

  const Repository& repository_;
  const BackupRecord& record_;
  const RestorePlan& plan_;
  const std::map<uint32_t, std::string> mapped_;
  const Archives& archives_;
  PostgresManifest* manifest_;
  Progress* progress_;
  const std::function<void()>& pause_point_;
  Progress unseen_;  // WAL is read twice, and counted once
  KnownPacks packs_;
  FileWriter reader_;
  FileWriter wal_looker_;
  ExportedConfiguration configuration_;
  Bytes control_file_;
  std::map<std::string, ManifestEntry> wal_;  // by its name in pg_wal
  std::set<std::string> directories_;
  Microseconds next_pause_ = 0;
};

RestorePlan PlanAndCount(const Repository& repository, const BackupRecord& record,
                         Progress* progress, const std::function<void()>& pause_point) {
  progress->Enter(Phase::kChecking);
  RestorePlan plan = MakePlan(repository, record, pause_point);
  progress->bytes_total = plan.bytes;
  progress->files_total = plan.files;
  return plan;
}

void CheckSpaceForTars(const std::string& directory, const BackupRecord& record, RestorePlan plan) {
  plan.main_bytes += plan.files * kMemberOverheadBytes;
  for (const auto& [oid, bytes] : plan.tablespace_bytes) plan.main_bytes += bytes;
  plan.tablespace_bytes.clear();  // all is in one directory
  CheckFreeSpace(directory, record, plan);
}

void RefuseTablespaces(const BackupRecord& record, const RestorePlan& plan) {
  if (plan.tablespaces.empty()) return;
  throw Error(
      ErrorCode::kNotInPrerequisiteState,
      fmt::format("cannot write backup {} to one tar: it has tablespaces", record.backup_id),
      fmt::format("There are {}: each needs a tar of its own, as with pg_basebackup.",
                  plan.tablespaces.size()),
      "Export it into a directory.");
}

}  // namespace

ExportResult ExportTarFiles(const Repository& repository, const BackupRecord& record,
                            const ExportOptions& options, Progress* progress,
                            const std::function<void()>& pause_point) {
  const std::string directory = CleanDirectoryPath(options.directory);
  CheckTargetPlace(directory, options.forbidden);
  const RestorePlan plan = PlanAndCount(repository, record, progress, pause_point);
  CheckSpaceForTars(directory, record, plan);

  progress->Enter(Phase::kWriting);
  TarFiles files(directory, OwnerToGive(plan));
  Archives archives;
  archives.base = files.AddTar("base");
  archives.wal = files.AddTar("pg_wal");
  for (const uint32_t oid : plan.tablespaces) {
    archives.tablespaces[oid] = files.AddTar(std::to_string(oid));
  }
  OutputFile* const manifest_file = files.AddManifest();
  PostgresManifest manifest([&](ByteSpan text) { manifest_file->Write(text); }, record);
  const ExportResult result = TarExport(repository, record, plan, options.mapping, archives,
                                        &manifest, progress, pause_point)
                                  .Run();
  manifest.Finish();
  progress->Enter(Phase::kSyncing);
  files.Finish();
  progress->Enter(Phase::kFinished);
  return result;
}

ExportResult ExportTarStream(const Repository& repository, const BackupRecord& record,
                             const std::function<void(ByteSpan)>& sink, Progress* progress,
                             const std::function<void()>& pause_point) {
  const RestorePlan plan = PlanAndCount(repository, record, progress, pause_point);
  RefuseTablespaces(record, plan);

  progress->Enter(Phase::kWriting);
  TarWriter tar(sink);
  const Archives archives = {&tar, {}, &tar};
  // In memory, as pg_basebackup has it: its size goes before it.
  std::string manifest_text;
  PostgresManifest manifest([&](ByteSpan text) { manifest_text += AsText(text); }, record);
  const ExportResult result =
      TarExport(repository, record, plan, {}, archives, &manifest, progress, pause_point).Run();
  manifest.Finish();
  tar.AddFile({.name = "backup_manifest",
               .uid = plan.owner.uid,
               .gid = plan.owner.gid,
               .mtime_seconds = Now() / kMicrosecondsPerSecond},
              manifest_text);
  tar.Finish();
  progress->Enter(Phase::kFinished);
  return result;
}

}  // namespace backup_ext
