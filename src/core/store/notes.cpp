// The notes of a repository's backups: reading the newest ones, adding one.
#include "store/notes.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "format/names.h"
#include "store/hold.h"

namespace backup_ext {
namespace {

constexpr std::string_view kPinKind = "pin";
constexpr std::string_view kVerifyKind = "verify";
constexpr std::string_view kAuditKind = "audit";
constexpr std::string_view kSuspectKind = "suspect";
constexpr uint64_t kNoteLimitBytes = 1024 * 1024;
constexpr int kNameAttempts = 100;

// Of one kind, newest first.
std::vector<NoteId> ListNotes(const Repository& repository, std::string_view backup_id,
                              std::string_view kind) {
  std::vector<NoteId> notes;
  for (const std::string& name : repository.store().ListNames(BackupPrefix(backup_id))) {
    std::optional<NoteId> note = ParseNoteName(BackupPrefix(backup_id) + name);
    if (note && note->kind == kind) notes.push_back(*std::move(note));
  }
  std::ranges::sort(notes, std::ranges::greater(), &NoteId::made_at);
  return notes;
}

// What is wrong with one note, not with the whole repository.
bool ConcernsOneNote(ErrorCode code) {
  return code == ErrorCode::kDamaged || code == ErrorCode::kUnsupportedFormat ||
         code == ErrorCode::kIo || code == ErrorCode::kPermissionDenied;
}

// The newest note that can be read; `*newest_unreadable` when a newer one cannot.
template <typename Note>
std::optional<Note> ReadNewest(const Repository& repository, std::string_view backup_id,
                               std::string_view kind, Note (*decode)(std::string_view),
                               bool* newest_unreadable) {
  *newest_unreadable = false;
  for (const NoteId& id : ListNotes(repository, backup_id, kind)) {
    try {
      const std::optional<Bytes> text = repository.store().Get(NoteName(id), kNoteLimitBytes);
      if (!text) continue;  // removed with its backup since it was listed
      const Note note = decode(AsText(*text));
      if (note.made_at == id.made_at) return note;
    } catch (const Error& error) {
      if (!ConcernsOneNote(error.code())) throw;
    }
    *newest_unreadable = true;
  }
  return std::nullopt;
}

// After every other note of its kind, whatever the clock says: were it sorted before an older one,
// because the clock went back, it would count for nothing.
template <typename Note>
void AddNote(const Repository& repository, std::string_view backup_id, std::string_view kind,
             Note note, std::string (*encode)(const Note&)) {
  // The backup cannot be removed in between, and exists.
  const BackupHold hold = BackupHold::Take(repository, backup_id);
  for (int attempt = 1;; ++attempt) {
    const std::vector<NoteId> others = ListNotes(repository, backup_id, kind);
    if (!others.empty()) note.made_at = std::max(note.made_at, others.front().made_at + 1);
    try {
      repository.store().Put(NoteName({std::string(backup_id), std::string(kind), note.made_at}),
                             AsBytes(encode(note)));
      return;
    } catch (const Error& error) {
      // Not found: a backup that began meanwhile swept our temporary file away.
      const bool again =
          error.code() == ErrorCode::kAlreadyExists || error.code() == ErrorCode::kNotFound;
      if (!again || attempt == kNameAttempts) throw;
    }
    ++note.made_at;
  }
}

}  // namespace

BackupNotes ReadNotes(const Repository& repository, std::string_view backup_id) {
  BackupNotes notes;
  bool unreadable_verify = false;
  bool unreadable_audit = false;
  bool unreadable_suspect = false;
  notes.pin =
      ReadNewest<PinNote>(repository, backup_id, kPinKind, DecodePinNote, &notes.unreadable_pin);
  notes.verify = ReadNewest<VerifyNote>(repository, backup_id, kVerifyKind, DecodeVerifyNote,
                                        &unreadable_verify);
  notes.audit =
      ReadNewest<AuditNote>(repository, backup_id, kAuditKind, DecodeAuditNote, &unreadable_audit);
  notes.suspect = ReadNewest<SuspectNote>(repository, backup_id, kSuspectKind, DecodeSuspectNote,
                                          &unreadable_suspect);
  notes.unreadable_damage = unreadable_verify || unreadable_audit || unreadable_suspect;
  return notes;
}

bool IsFoundDamaged(const BackupNotes& notes) {
  return notes.unreadable_damage || notes.audit || (notes.verify && notes.verify->problems > 0);
}

std::string VerifyVerdict(const BackupNotes& notes) {
  if (notes.unreadable_damage) return "unreadable";
  if (IsFoundDamaged(notes)) return "damaged";
  return notes.verify ? "ok" : "";
}

bool IsSuspect(const BackupNotes& notes) {
  return notes.suspect && !(notes.verify && notes.verify->made_at > notes.suspect->made_at);
}

void AddPinNote(const Repository& repository, std::string_view backup_id, const PinNote& note) {
  AddNote(repository, backup_id, kPinKind, note, EncodePinNote);
}

void AddVerifyNote(const Repository& repository, std::string_view backup_id,
                   const VerifyNote& note) {
  AddNote(repository, backup_id, kVerifyKind, note, EncodeVerifyNote);
}

void AddAuditNote(const Repository& repository, std::string_view backup_id, const AuditNote& note) {
  AddNote(repository, backup_id, kAuditKind, note, EncodeAuditNote);
}

void AddSuspectNote(const Repository& repository, std::string_view backup_id,
                    const SuspectNote& note) {
  AddNote(repository, backup_id, kSuspectKind, note, EncodeSuspectNote);
}

}  // namespace backup_ext
