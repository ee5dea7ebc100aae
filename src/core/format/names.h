// The names of every object in a repository: built and parsed here and nowhere else.
// doc/repository_format.md, "Names", lists them.
//
// A name is a relative path of components [A-Za-z0-9._-], never "." or "..". It is never written
// twice: backup ids carry random bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

inline constexpr std::string_view kRepositoryObject = "repository.json";
inline constexpr std::string_view kBackupsPrefix = "backups/";
inline constexpr std::string_view kPacksPrefix = "packs/";
inline constexpr std::string_view kHistoryPrefix = "history/";
inline constexpr std::string_view kLocksPrefix = "locks/";
inline constexpr std::string_view kHoldsPrefix = "holds/";

// 20261123-103245-9f3a2c1b: the start in UTC, then 32 random bits. Sorts by time.
[[nodiscard]] std::string NewBackupId(Microseconds started_at);
[[nodiscard]] bool IsBackupId(std::string_view text);
// The same form with a prefix of its own: `stage-...`, `job-...`.
[[nodiscard]] std::string NewStageId(Microseconds now);
[[nodiscard]] bool IsStageId(std::string_view text);
[[nodiscard]] std::string NewJobId(Microseconds now);
// When a job was asked for, to the second; nothing for text that is no job id.
[[nodiscard]] std::optional<Microseconds> TimeOfJobId(std::string_view job_id);

[[nodiscard]] std::string RecordName(std::string_view backup_id);    // backups/<id>/record.json
[[nodiscard]] std::string ManifestName(std::string_view backup_id);  // backups/<id>/manifest
// backups/<id>/media: the manifest of the media
[[nodiscard]] std::string MediaManifestName(std::string_view backup_id);
// backups/<id>/media-draft: the same of the first look, while the backup is taken
[[nodiscard]] std::string MediaDraftName(std::string_view backup_id);
// backups/<id>/interrupted.json: instead of a record, that of a backup which did not end.
[[nodiscard]] std::string InterruptedName(std::string_view backup_id);
[[nodiscard]] std::string BackupPrefix(std::string_view backup_id);  // backups/<id>/
[[nodiscard]] std::string PackPrefix(std::string_view backup_id);    // packs/<id>/
// The backup id of a name below backups/ or packs/; nothing for any other name.
[[nodiscard]] std::optional<std::string> BackupIdOfName(std::string_view object_name);

// Which pack: the backup that wrote it, the thread, and the thread's running number.
struct PackId {
  std::string backup_id;
  uint32_t thread = 0;
  uint32_t number = 0;
  auto operator<=>(const PackId&) const = default;
};
// Media lie in packs of their own: those of threads from this number on.
inline constexpr uint32_t kFirstMediaThread = 1000;
[[nodiscard]] inline bool IsMediaPack(const PackId& pack) {
  return pack.thread >= kFirstMediaThread;
}
[[nodiscard]] std::string PackName(const PackId& pack);  // packs/<id>/<thread>-<number>.pack
[[nodiscard]] std::optional<PackId> ParsePackName(std::string_view object_name);

// A note about a backup (note.h): its kind ("pin", "verify") and when it was made.
struct NoteId {
  std::string backup_id;
  std::string kind;
  Microseconds made_at = 0;
  bool operator==(const NoteId&) const = default;
};
// backups/<id>/<kind>-<yyyymmdd>-<hhmmss>-<microseconds>.json
[[nodiscard]] std::string NoteName(const NoteId& note);
[[nodiscard]] std::optional<NoteId> ParseNoteName(std::string_view object_name);

// history/<yyyy>/<mm>/<job-id>.json
[[nodiscard]] std::string HistoryName(std::string_view job_id, Microseconds started_at);

// True for a name that an ObjectStore accepts.
[[nodiscard]] bool IsObjectName(std::string_view name);

}  // namespace backup_ext
