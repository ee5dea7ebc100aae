// Chooses what the next backup may refer to.
#include "backup/choose_parents.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "store/catalog.h"
#include "store/manifest_source.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

class Chooser {
 public:
  Chooser(const Repository& repository, const Catalog& catalog, const ParentRequest& request,
          const std::function<void()>& pause_point)
      : repository_(repository),
        request_(request),
        pause_point_(pause_point),
        catalog_(catalog),
        interrupted_(ReadInterrupted(repository)) {
    for (const BackupRecord& record : catalog_.backups) {
      const BackupNotes notes = ReadNotes(repository, record.backup_id);
      if (!IsFoundDamaged(notes) && !IsSuspect(notes)) continue;
      for (const PackUse& use : record.packs) suspect_packs_.insert(use.pack);
    }
  }

  ChosenParents Choose() {
    if (request_.kind == RequestedKind::kFull) return Audited(Full("it was asked for", false));
    if (IsFullDue()) {
      return Audited(Full(NewestFull() == 0
                              ? "there is no full backup yet"
                              : "the last full backup is as old as full_interval allows",
                          true));
    }
    const bool is_auto = request_.kind == RequestedKind::kAuto;
    std::string why = "there is no earlier backup";
    bool is_newest = true;
    bool is_newest_damaged = false;
    for (const BackupRecord& record : catalog_.backups) {
      const std::string problem = ProblemOf(record);
      if (problem.empty()) {
        ChosenParents chosen = Incremental(record);
        if (!is_newest) chosen.passed_over = why;
        chosen.is_newest_damaged = is_newest_damaged;
        return chosen;
      }
      if (is_newest) {
        why = fmt::format("backup {} {}", record.backup_id, problem);
        is_newest_damaged = WhyNoParent(CandidateOf(record), request_.cluster).empty();
      }
      is_newest = false;
    }
    if (is_auto) return Full(why, true);
    throw Error(ErrorCode::kNotInPrerequisiteState, "cannot take an incremental backup",
                fmt::format("No earlier backup can be its parent: {}.", why),
                "Use kind => 'auto', which takes a full backup then.");
  }

  // Only files are compared, whatever became of the cluster in between.
  std::vector<ParentBackup> ChooseMedia(uint64_t system_identifier) const {
    std::vector<ParentBackup> parents;
    if (request_.kind == RequestedKind::kFull) return parents;
    const auto is_usable = [&](const BackupRecord& record) {
      return HasMedia(record) && record.system_identifier == system_identifier &&
             !IsFoundDamaged(ReadNotes(repository_, record.backup_id)) &&
             MissingOf(record, ManifestKind::kMedia).empty();
    };
    const bool is_full = IsFullDue();
    const auto complete =
        is_full ? catalog_.backups.end() : std::ranges::find_if(catalog_.backups, is_usable);
    Microseconds since = 0;
    if (is_full) since = NewestFull();
    if (complete != catalog_.backups.end()) since = complete->started_at;
    for (const BackupRecord& record : interrupted_) {
      if (MayServe(since, record, is_full) && is_usable(record)) parents.push_back({record, true});
    }
    if (complete != catalog_.backups.end()) parents.push_back({*complete, false});
    return parents;
  }

 private:
  Microseconds NewestFull() const {
    for (const BackupRecord& record : catalog_.backups) {
      if (record.kind == "full" && record.state == "complete") return record.started_at;
    }
    return 0;
  }

  bool IsFullDue() const {
    return request_.kind == RequestedKind::kAuto &&
           IsFullBackupDue(NewestFull(), request_.full_interval, request_.now);
  }

  // May an interrupted backup serve a new one? What a full one refers to must be from full ones.
  static bool MayServe(Microseconds since, const BackupRecord& record, bool is_full) {
    return record.started_at > since && (!is_full || record.kind == "full");
  }

  ChosenParents Full(std::string reason, bool may_go_on) const {
    ChosenParents chosen{{}, {}, "full", std::move(reason), {}, false};
    if (may_go_on) AddInterrupted(NewestFull(), &chosen);
    return chosen;
  }

  ChosenParents Incremental(const BackupRecord& record) const {
    ChosenParents chosen{{}, {}, "incremental", {}, {}, false};
    AddInterrupted(record.started_at, &chosen);
    chosen.parents.push_back({record, false});
    return chosen;
  }

  ChosenParents Audited(ChosenParents chosen) const {
    const auto audited = std::ranges::find_if(
        catalog_.backups, [&](const BackupRecord& record) { return ProblemOf(record).empty(); });
    if (audited != catalog_.backups.end()) chosen.audited.push_back({*audited, false});
    return chosen;
  }

  void AddInterrupted(Microseconds since, ChosenParents* chosen) const {
    for (const BackupRecord& record : interrupted_) {
      if (!MayServe(since, record, chosen->kind == "full")) continue;
      if (ProblemOf(record).empty()) chosen->parents.push_back({record, true});
    }
  }

  std::string ProblemOf(const BackupRecord& record) const {
    const std::string problem = WhyNoParent(CandidateOf(record), request_.cluster);
    return problem.empty() ? MissingOf(record) : problem;
  }

  ParentCandidate CandidateOf(const BackupRecord& record) const {
    ParentCandidate candidate;
    candidate.shape = ShapeOf(record);
    candidate.state = record.state;
    candidate.start_timeline =
        record.wal_ranges.empty() ? record.timeline : record.wal_ranges.back().timeline;
    candidate.start_lsn = record.start_lsn;
    candidate.stop_timeline = record.timeline;
    candidate.stop_lsn = record.stop_lsn;
    candidate.is_remembered = request_.remembered.contains(record.backup_id);
    candidate.is_found_damaged = IsFoundDamaged(ReadNotes(repository_, record.backup_id));
    return candidate;
  }

  // A backup that refers to what is not there could never be restored.
  std::string MissingOf(const BackupRecord& record,
                        ManifestKind kind = ManifestKind::kCluster) const {
    try {
      CheckManifestObject(repository_, record, pause_point_, kind);
      for (const PackUse& use : record.packs) {
        // What was found damaged may lie in it, and nothing of this backup was read since.
        if (suspect_packs_.contains(use.pack)) {
          return "refers to what was found damaged in another backup";
        }
        const auto pack = repository_.store().Open(PackName(use.pack));
        if (!pack) return fmt::format("lacks pack \"{}\"", PackName(use.pack));
        if (pack->size_bytes() != use.size_bytes) {
          return fmt::format("has a pack of the wrong size: \"{}\"", PackName(use.pack));
        }
        pause_point_();
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kDamaged && error.code() != ErrorCode::kIo) throw;
      return fmt::format("cannot be read: {}", error.message());
    }
    return {};
  }

  const Repository& repository_;
  const ParentRequest& request_;
  const std::function<void()>& pause_point_;
  const Catalog& catalog_;
  const std::vector<BackupRecord> interrupted_;
  std::set<PackId> suspect_packs_;  // of backups that were found damaged, or share packs of such
};

}  // namespace

std::vector<ParentBackup> ChooseMediaParents(const Repository& repository, const Catalog& catalog,
                                             RequestedKind kind, Microseconds full_interval,
                                             Microseconds now, uint64_t system_identifier,
                                             const std::function<void()>& pause_point) {
  ParentRequest request;
  request.kind = kind;
  request.full_interval = full_interval;
  request.now = now;
  return Chooser(repository, catalog, request, pause_point).ChooseMedia(system_identifier);
}

ClusterShape ShapeOf(const BackupRecord& record) {
  return {record.system_identifier, record.control_version, record.catalog_version,
          record.block_bytes,       record.segment_blocks,  record.data_checksums};
}

ChosenParents ChooseParents(const Repository& repository, const Catalog& catalog,
                            const ParentRequest& request,
                            const std::function<void()>& pause_point) {
  return Chooser(repository, catalog, request, pause_point).Choose();
}

}  // namespace backup_ext
