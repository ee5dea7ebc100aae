// Retention at work: the policy's decisions on a repository's backups, and removing what may go.
#include "expire/expiry.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "format/names.h"
#include "store/suspects.h"

namespace backup_ext {
namespace {

constexpr const char* kIsRead = "it is to be removed, but is being read";

PinState PinStateOf(const BackupNotes& notes) {
  if (notes.unreadable_pin) return PinState::kUnreadable;
  if (!notes.pin || notes.pin->pinned_until == kNotPinned) return PinState::kNone;
  return notes.pin->pinned_until == kPinnedForEver ? PinState::kForEver : PinState::kUntil;
}

RetentionBackup Describe(const BackupRecord& record, const BackupNotes& notes) {
  return {.backup_id = record.backup_id,
          .started_at = record.started_at,
          .finished_at = record.finished_at,
          .scheduled = record.trigger == "schedule",
          .good = record.state == "complete" && !IsFoundDamaged(notes),
          .pin = PinStateOf(notes),
          .pinned_until = notes.pin ? notes.pin->pinned_until : 0};
}

std::vector<BackupNotes> ReadAllNotes(const Repository& repository, const Catalog& catalog) {
  std::vector<BackupNotes> notes;
  for (const BackupRecord& record : catalog.backups) {
    notes.push_back(ReadNotes(repository, record.backup_id));
  }
  return notes;
}

std::vector<RetentionBackup> DescribeAll(const Catalog& catalog,
                                         const std::vector<BackupNotes>& notes) {
  std::vector<RetentionBackup> backups;
  for (size_t i = 0; i < notes.size(); ++i) {
    backups.push_back(Describe(catalog.backups[i], notes[i]));
  }
  return backups;
}

bool IsPinned(const BackupNotes& notes, Microseconds now) {
  const PinState state = PinStateOf(notes);
  if (state == PinState::kUntil) return notes.pin->pinned_until > now;
  return state != PinState::kNone;
}

// The decisions as rows, nothing removed yet.
std::vector<ExpiryRow> DecideRows(const Repository& repository, const Catalog& catalog,
                                  const RetentionRules& rules) {
  std::vector<ExpiryRow> rows;
  const std::vector<BackupOutlook> outlooks = JudgeBackups(repository, catalog, rules);
  for (size_t i = 0; i < outlooks.size(); ++i) {
    rows.push_back({.backup_id = catalog.backups[i].backup_id,
                    .removed = !outlooks[i].decision.keep,
                    .because = outlooks[i].decision.because});
  }
  for (const UnreadableRecord& record : catalog.unreadable) {
    rows.push_back({.backup_id = record.backup_id,
                    .because = fmt::format("its record cannot be read: {}", record.problem)});
  }
  return rows;
}

// Only what ends with this one backup is a row's text; the rest ends the expiry.
bool ConcernsOneBackup(ErrorCode code) {
  return code == ErrorCode::kIo || code == ErrorCode::kPermissionDenied ||
         code == ErrorCode::kDamaged || code == ErrorCode::kNotFound;
}

// The note that says so goes with it, and its packs may stay. Where there is no room for another
// note the removal must work all the same.
void HandOnDamage(const Repository& repository, const Catalog& catalog, const std::string& id) {
  if (!IsFoundDamaged(ReadNotes(repository, id))) return;
  try {
    MarkSuspects(repository, catalog, id);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoSpace) throw;
  }
}

// Why it stays after all; empty: it may go. Others may have been found damaged or pinned since the
// decision; now that it is held alone, nothing can come any more.
std::string WhyItStays(const Repository& repository, const Catalog& catalog,
                       const RetentionRules& rules, const std::string& id) {
  const std::vector<BackupOutlook> outlooks = JudgeBackups(repository, catalog, rules);
  for (size_t i = 0; i < outlooks.size(); ++i) {
    if (catalog.backups[i].backup_id != id) continue;
    return outlooks[i].decision.keep ? outlooks[i].decision.because : std::string();
  }
  return {};
}

void RemoveOne(const Repository& repository, const WriterLock& lock, const RetentionRules& rules,
               const std::function<void()>& pause_point, Catalog* catalog, ExpiryRow* row) {
  row->removed = false;
  try {
    lock.Check();
    const std::optional<RemovalHold> hold = RemovalHold::TryTake(repository, row->backup_id);
    if (!hold) {
      row->has_failed = true;
      row->because = kIsRead;
      return;
    }
    if (std::string why = WhyItStays(repository, *catalog, rules, row->backup_id); !why.empty()) {
      row->because = std::move(why);
      return;
    }
    HandOnDamage(repository, *catalog, row->backup_id);
    row->freed_bytes = RemoveBackup(repository, *hold, catalog, pause_point);
    row->removed = true;
  } catch (const Error& error) {
    if (!ConcernsOneBackup(error.code())) throw;
    row->has_failed = true;
    row->because = fmt::format("it is to be removed, but that failed: {}", error.message());
  }
}

void ExpectRemovals(const Repository& repository, const Catalog& catalog,
                    const std::vector<ExpiryRow>& rows, Progress* progress) {
  std::vector<std::string> ids;
  for (const ExpiryRow& row : rows) {
    if (row.removed) ids.insert(ids.begin(), row.backup_id);
  }
  uint64_t bytes = 0;
  for (const uint64_t freed : BytesToFree(repository, catalog, ids)) bytes += freed;
  progress->files_total = ids.size();
  progress->bytes_total = bytes;
  progress->Enter(Phase::kExpiring);
}

void RefusePinned(const std::string& id, const BackupNotes& notes) {
  if (!IsPinned(notes, Now())) return;
  throw Error(
      ErrorCode::kNotInPrerequisiteState,
      fmt::format("cannot drop backup \"{}\" because it is pinned", id),
      notes.unreadable_pin ? "Its pin cannot be read, so it is taken for one without end." : "",
      fmt::format("Unpin it first: SELECT backup_unpin('{}').", id));
}

void RefuseNewestGood(const std::string& id, const Catalog& catalog,
                      const std::vector<BackupNotes>& notes) {
  const std::optional<size_t> newest = NewestGoodBackup(DescribeAll(catalog, notes), Now());
  if (!newest || catalog.backups[*newest].backup_id != id) return;
  throw Error(ErrorCode::kNotInPrerequisiteState,
              fmt::format("cannot drop backup \"{}\" because it is the newest good one", id),
              "Without it there would be no backup as new as this one.",
              "Take a new backup first, or give force => true.");
}

void RefuseUnreadable(const std::string& id, const Catalog& catalog) {
  const auto found = std::ranges::find(catalog.unreadable, id, &UnreadableRecord::backup_id);
  if (found == catalog.unreadable.end()) return;
  throw Error(ErrorCode::kNotInPrerequisiteState,
              fmt::format("cannot drop backup \"{}\" because its record cannot be read", id),
              fmt::format("Reading it: {}.", found->problem),
              "Find out why first. Give force => true if the backup is lost anyway.");
}

}  // namespace

std::vector<BackupOutlook> JudgeBackups(const Repository& repository, const Catalog& catalog,
                                        const RetentionRules& rules) {
  std::vector<BackupNotes> notes = ReadAllNotes(repository, catalog);
  std::vector<RetentionDecision> decisions =
      DecideRetention(DescribeAll(catalog, notes), rules, Now());
  std::vector<BackupOutlook> outlooks;
  for (size_t i = 0; i < notes.size(); ++i) {
    outlooks.push_back({std::move(notes[i]), std::move(decisions[i])});
  }
  return outlooks;
}

std::vector<ExpiryRow> PlanExpiry(const Repository& repository, const RetentionRules& rules) {
  const Catalog catalog = ReadCatalog(repository);
  std::vector<ExpiryRow> rows = DecideRows(repository, catalog, rules);
  std::vector<ExpiryRow*> going;
  std::vector<std::string> ids;
  for (ExpiryRow& row : rows) {
    if (!row.removed) continue;
    if (IsHeld(repository, row.backup_id)) {
      row.removed = false;
      row.because = kIsRead;
      continue;
    }
    going.insert(going.begin(), &row);
    ids.insert(ids.begin(), row.backup_id);
  }
  const std::vector<uint64_t> freed = BytesToFree(repository, catalog, ids);
  for (size_t i = 0; i < going.size(); ++i) going[i]->freed_bytes = freed[i];
  return rows;
}

std::vector<ExpiryRow> ExpireBackups(const Repository& repository, const WriterLock& lock,
                                     const RetentionRules& rules,
                                     const std::function<void()>& pause_point, Progress* progress) {
  Catalog catalog = ReadCatalog(repository);
  std::vector<ExpiryRow> rows = DecideRows(repository, catalog, rules);
  if (progress != nullptr) ExpectRemovals(repository, catalog, rows, progress);
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (!row->removed) continue;
    pause_point();
    RemoveOne(repository, lock, rules, pause_point, &catalog, &*row);
    if (progress == nullptr) continue;
    progress->files_done += 1;
    progress->bytes_done += row->freed_bytes;
  }
  pause_point();
  // After a failure nobody knows what of it would come back at a power cut: the next run sweeps.
  if (std::ranges::none_of(rows, &ExpiryRow::has_failed)) {
    SweepUnreferenced(repository, pause_point);
  }
  return rows;
}

std::string DropBackup(const Repository& repository, const WriterLock& lock,
                       std::string_view backup_id, bool force,
                       const std::function<void()>& pause_point) {
  Catalog catalog = ReadCatalog(repository);
  const bool is_unreadable =
      std::ranges::count(catalog.unreadable, backup_id, &UnreadableRecord::backup_id) > 0;
  const std::string id =
      is_unreadable ? std::string(backup_id) : FindBackup(repository, backup_id).backup_id;
  // From here on nobody can begin to read it, nor pin it.
  const std::optional<RemovalHold> hold = RemovalHold::TryTake(repository, id);
  if (!hold) throw BackupIsHeld(id);
  RefusePinned(id, ReadNotes(repository, id));
  if (!force) {
    RefuseUnreadable(id, catalog);
    RefuseNewestGood(id, catalog, ReadAllNotes(repository, catalog));
  }
  lock.Check();
  HandOnDamage(repository, catalog, id);
  RemoveBackup(repository, *hold, &catalog, pause_point);
  return id;
}

}  // namespace backup_ext
