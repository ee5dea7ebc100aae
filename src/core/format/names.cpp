// Builds and parses the names of every object in a repository.
#include "format/names.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

constexpr std::string_view kStageIdPrefix = "stage-";
constexpr std::string_view kJobIdPrefix = "job-";
constexpr std::string_view kPackSuffix = ".pack";
constexpr std::string_view kNoteSuffix = ".json";

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// Removes `prefix` from `*text`; false when it does not begin so.
bool ConsumePrefix(std::string_view prefix, std::string_view* text) {
  if (text->substr(0, prefix.size()) != prefix) {
    return false;
  }
  text->remove_prefix(prefix.size());
  return true;
}

bool ConsumeNumber(std::string_view* text, uint32_t* value) {
  const char* const end = text->data() + text->size();
  const auto [next, error] = std::from_chars(text->data(), end, *value);
  text->remove_prefix(static_cast<size_t>(next - text->data()));
  return error == std::errc();
}

}  // namespace

std::string NewBackupId(Microseconds started_at) {
  return fmt::format("{}-{}", FormatTimeForId(started_at), HexEncode(RandomBytes(4)));
}

bool IsBackupId(std::string_view text) {
  constexpr std::string_view form = "dddddddd-dddddd-xxxxxxxx";
  if (text.size() != form.size()) {
    return false;
  }
  for (size_t i = 0; i < form.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    const bool is_hex = is_digit || (text[i] >= 'a' && text[i] <= 'f');
    if (form[i] == 'd' ? !is_digit : form[i] == 'x' ? !is_hex : text[i] != form[i]) {
      return false;
    }
  }
  return true;
}

std::string NewStageId(Microseconds now) {
  return fmt::format("{}{}", kStageIdPrefix, NewBackupId(now));
}

bool IsStageId(std::string_view text) {
  return ConsumePrefix(kStageIdPrefix, &text) && IsBackupId(text);
}

std::string NewJobId(Microseconds now) {
  return fmt::format("{}{}", kJobIdPrefix, NewBackupId(now));
}

std::optional<Microseconds> TimeOfJobId(std::string_view job_id) {
  std::string_view t = job_id;
  if (!ConsumePrefix(kJobIdPrefix, &t) || !IsBackupId(t)) {
    return std::nullopt;
  }
  try {
    return ParseTime(fmt::format("{}-{}-{}T{}:{}:{}.000000Z", t.substr(0, 4), t.substr(4, 2),
                                 t.substr(6, 2), t.substr(9, 2), t.substr(11, 2), t.substr(13, 2)));
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string BackupPrefix(std::string_view backup_id) {
  return fmt::format("{}{}/", kBackupsPrefix, backup_id);
}

std::string RecordName(std::string_view backup_id) {
  return BackupPrefix(backup_id) + "record.json";
}

std::string ManifestName(std::string_view backup_id) {
  return BackupPrefix(backup_id) + "manifest";
}

std::string MediaManifestName(std::string_view backup_id) {
  return BackupPrefix(backup_id) + "media";
}

std::string MediaDraftName(std::string_view backup_id) {
  return BackupPrefix(backup_id) + "media-draft";
}

std::string InterruptedName(std::string_view backup_id) {
  return BackupPrefix(backup_id) + "interrupted.json";
}

std::string PackPrefix(std::string_view backup_id) {
  return fmt::format("{}{}/", kPacksPrefix, backup_id);
}

std::optional<std::string> BackupIdOfName(std::string_view object_name) {
  if (!IsObjectName(object_name)) {
    return std::nullopt;
  }
  if (!ConsumePrefix(kBackupsPrefix, &object_name) && !ConsumePrefix(kPacksPrefix, &object_name)) {
    return std::nullopt;
  }
  const size_t slash = object_name.find('/');
  const std::string_view id = object_name.substr(0, slash);
  if (slash == std::string_view::npos || !IsBackupId(id)) {
    return std::nullopt;
  }
  return std::string(id);
}

std::string PackName(const PackId& pack) {
  return fmt::format("{}{}-{}{}", PackPrefix(pack.backup_id), pack.thread, pack.number,
                     kPackSuffix);
}

std::optional<PackId> ParsePackName(std::string_view object_name) {
  const std::optional<std::string> backup_id = BackupIdOfName(object_name);
  if (!backup_id) {
    return std::nullopt;
  }
  PackId pack{.backup_id = *backup_id};
  std::string_view rest = object_name;
  if (!ConsumePrefix(PackPrefix(*backup_id), &rest) || !ConsumeNumber(&rest, &pack.thread) ||
      !ConsumePrefix("-", &rest) || !ConsumeNumber(&rest, &pack.number)) {
    return std::nullopt;
  }
  // Also refuses what follows the number, and other ways to write it.
  return PackName(pack) == object_name ? std::optional(pack) : std::nullopt;
}

std::string NoteName(const NoteId& note) {
  // The microseconds are the last digits but one of 2026-11-23T10:32:45.123456Z.
  const std::string microseconds = FormatTime(note.made_at).substr(20, 6);
  return fmt::format("{}{}-{}-{}{}", BackupPrefix(note.backup_id), note.kind,
                     FormatTimeForId(note.made_at), microseconds, kNoteSuffix);
}

std::optional<NoteId> ParseNoteName(std::string_view object_name) {
  constexpr std::string_view time_form = "-dddddddd-dddddd-dddddd";
  const std::optional<std::string> backup_id = BackupIdOfName(object_name);
  if (!backup_id) {
    return std::nullopt;
  }
  std::string_view rest = object_name;
  if (!ConsumePrefix(BackupPrefix(*backup_id), &rest) ||
      rest.size() <= time_form.size() + kNoteSuffix.size()) {
    return std::nullopt;
  }
  const size_t kind_size = rest.size() - time_form.size() - kNoteSuffix.size();
  const std::string_view kind = rest.substr(0, kind_size);
  const std::string_view t = rest.substr(kind_size, time_form.size());
  if (!std::ranges::all_of(kind, [](char c) { return c >= 'a' && c <= 'z'; })) {
    return std::nullopt;
  }
  NoteId note{.backup_id = *backup_id, .kind = std::string(kind)};
  try {
    note.made_at = ParseTime(fmt::format("{}-{}-{}T{}:{}:{}.{}Z", t.substr(1, 4), t.substr(5, 2),
                                         t.substr(7, 2), t.substr(10, 2), t.substr(12, 2),
                                         t.substr(14, 2), t.substr(17, 6)));
  } catch (const Error&) {
    return std::nullopt;
  }
  // Also refuses another suffix, and what lies between the parts of the time.
  return NoteName(note) == object_name ? std::optional(note) : std::nullopt;
}

std::string HistoryName(std::string_view job_id, Microseconds started_at) {
  const std::string time = FormatTimeForId(started_at);
  return fmt::format("{}{}/{}/{}.json", kHistoryPrefix, time.substr(0, 4), time.substr(4, 2),
                     job_id);
}

bool IsObjectName(std::string_view name) {
  while (true) {
    const size_t slash = name.find('/');
    const std::string_view component = name.substr(0, slash);
    if (component.empty() || component == "." || component == ".." ||
        !std::all_of(component.begin(), component.end(), IsNameCharacter)) {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    name.remove_prefix(slash + 1);
  }
}

}  // namespace backup_ext
