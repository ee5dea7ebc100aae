// One backup of the list, as JSON.
#include "backup_json.h"

#include "base/clock.h"
#include "base/lsn.h"
#include "output.h"

namespace backup_ext {

std::string PinnedUntil(const BackupNotes& notes) {
  if (notes.unreadable_pin) return "infinity";
  if (!notes.pin || notes.pin->pinned_until == kNotPinned) return {};
  if (notes.pin->pinned_until == kPinnedForEver) return "infinity";
  return FormatTime(notes.pin->pinned_until);
}

nlohmann::json BackupJson(const BackupRecord& record, const BackupNotes& notes) {
  const auto duration = static_cast<double>(record.finished_at - record.started_at);
  return {
      {"backup_id", record.backup_id},
      {"label", TextOrNull(record.label)},
      {"kind", record.kind},
      {"trigger", record.trigger},
      {"state", record.state},
      {"started_at", FormatTime(record.started_at)},
      {"finished_at", FormatTime(record.finished_at)},
      {"duration_seconds", duration / kMicrosecondsPerSecond},
      {"database_bytes", record.database_bytes},
      {"media_bytes", record.media_bytes},
      {"stored_bytes", record.stored_bytes},
      {"start_lsn", FormatLsn(record.start_lsn)},
      {"stop_lsn", FormatLsn(record.stop_lsn)},
      {"timeline", record.timeline},
      {"server_version", record.server_version},
      {"pinned_until", TextOrNull(PinnedUntil(notes))},
      {"verified_at", notes.verify ? nlohmann::json(FormatTime(notes.verify->made_at)) : nullptr},
      {"verify_result", TextOrNull(VerifyVerdict(notes))},
      {"error", TextOrNull(record.error)},
      {"full_because", TextOrNull(record.parent_reason)},
      {"data_directory", record.data_directory},
      {"host", record.host}};
}

}  // namespace backup_ext
