// The notes of a repository's backups: reading the newest ones, adding one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/note.h"
#include "store/repository.h"

namespace backup_ext {

// The newest sound note of each kind. A note that cannot be read hides no older one, but
// `unreadable` says so: an unreadable pin must keep its backup.
struct BackupNotes {
  std::optional<PinNote> pin;
  std::optional<VerifyNote> verify;
  std::optional<AuditNote> audit;
  std::optional<SuspectNote> suspect;
  bool unreadable_pin = false;     // the newest pin cannot be read: the backup counts as pinned
  bool unreadable_damage = false;  // the newest verify or audit: it counts as found damaged
};
[[nodiscard]] BackupNotes ReadNotes(const Repository& repository, std::string_view backup_id);

// By the newest verify, or by an audit.
[[nodiscard]] bool IsFoundDamaged(const BackupNotes& notes);
// For the list: `ok`, `damaged`, `unreadable` (what was found cannot be read), empty: never
// verified.
[[nodiscard]] std::string VerifyVerdict(const BackupNotes& notes);
// It refers to what was found damaged in another backup, and was not found sound since.
[[nodiscard]] bool IsSuspect(const BackupNotes& notes);

// Adds a note; durable when it returns. It becomes the newest of its kind whatever the clock says:
// `made_at` is then later than the one given. The backup must exist: throws Error(kNotFound)
// otherwise. No lock is needed: a hold keeps the backup from being removed meanwhile.
void AddPinNote(const Repository& repository, std::string_view backup_id, const PinNote& note);
void AddVerifyNote(const Repository& repository, std::string_view backup_id,
                   const VerifyNote& note);
void AddAuditNote(const Repository& repository, std::string_view backup_id, const AuditNote& note);
void AddSuspectNote(const Repository& repository, std::string_view backup_id,
                    const SuspectNote& note);

}  // namespace backup_ext
