// Notes as JSON. doc/repository_format.md, "Notes", lists the members.
#include "format/note.h"

#include <fmt/core.h>

#include "base/error.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

constexpr uint32_t kNoteVersion = 1;
constexpr std::string_view kPin = "pin note";
constexpr std::string_view kVerify = "verify note";
constexpr std::string_view kAudit = "audit note";
constexpr std::string_view kSuspect = "suspect note";
constexpr std::string_view kForEver = "infinity";

Json NewNote(Microseconds made_at) {
  Json object;
  object["version"] = kNoteVersion;
  object["made_at"] = FormatTime(made_at);
  return object;
}

void CheckVersion(const JsonFields& fields, std::string_view what) {
  const uint32_t version = fields.U32("version");
  if (version <= kNoteVersion) return;
  throw Error(ErrorCode::kUnsupportedFormat,
              fmt::format("cannot read {} of version {}", what, version),
              fmt::format("This program reads versions up to {}.", kNoteVersion),
              "Use the version of backup_ext that wrote it, or a newer one.");
}

// A time that four digits of a year cannot name would come back earlier than it was: it has no end.
std::string PinEndText(Microseconds until) {
  if (until == kNotPinned) return {};
  std::string text = FormatTime(until);
  return ParseTime(text) == until ? text : std::string(kForEver);
}

Microseconds ParsePinEnd(const std::string& text) {
  if (text.empty()) return kNotPinned;
  return text == kForEver ? kPinnedForEver : ParseTime(text);
}

}  // namespace

std::string EncodePinNote(const PinNote& note) {
  Json object = NewNote(note.made_at);
  object["pinned_until"] = PinEndText(note.pinned_until);
  return SealJson(object);
}

PinNote DecodePinNote(std::string_view text) {
  const Json object = OpenSealedJson(text, kPin);
  const JsonFields fields(object, kPin);
  CheckVersion(fields, kPin);
  return {.made_at = fields.Time("made_at"),
          .pinned_until = ParsePinEnd(fields.Text("pinned_until"))};
}

std::string EncodeVerifyNote(const VerifyNote& note) {
  Json object = NewNote(note.made_at);
  object["problems"] = note.problems;
  PutText("first_problem", note.first_problem, &object);
  object["checked_bytes"] = note.checked_bytes;
  return SealJson(object);
}

VerifyNote DecodeVerifyNote(std::string_view text) {
  const Json object = OpenSealedJson(text, kVerify);
  const JsonFields fields(object, kVerify);
  CheckVersion(fields, kVerify);
  return {.made_at = fields.Time("made_at"),
          .problems = fields.U64("problems"),
          .first_problem = fields.Text("first_problem"),
          .checked_bytes = fields.U64("checked_bytes")};
}

std::string EncodeAuditNote(const AuditNote& note) {
  Json object = NewNote(note.made_at);
  PutText("findings", note.findings, &object);
  return SealJson(object);
}

AuditNote DecodeAuditNote(std::string_view text) {
  const Json object = OpenSealedJson(text, kAudit);
  const JsonFields fields(object, kAudit);
  CheckVersion(fields, kAudit);
  return {.made_at = fields.Time("made_at"), .findings = fields.Text("findings")};
}

std::string EncodeSuspectNote(const SuspectNote& note) {
  Json object = NewNote(note.made_at);
  object["damaged_backup_id"] = note.damaged_backup_id;
  return SealJson(object);
}

SuspectNote DecodeSuspectNote(std::string_view text) {
  const Json object = OpenSealedJson(text, kSuspect);
  const JsonFields fields(object, kSuspect);
  CheckVersion(fields, kSuspect);
  return {.made_at = fields.Time("made_at"), .damaged_backup_id = fields.Text("damaged_backup_id")};
}

}  // namespace backup_ext
