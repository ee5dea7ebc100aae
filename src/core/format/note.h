// Notes: what changes later about a backup (pins, verify results, its removal): small objects
// beside its record, written once; of each kind the newest one counts.
//
// backups/<backup-id>/<kind>-<yyyymmdd>-<hhmmss>-<microseconds>.json, documented in
// doc/repository_format.md, "Notes". The text ends with a digest of all bytes before it, as that of
// a record does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

// pinned_until of a pin without an end, and of a backup that is not pinned.
inline constexpr Microseconds kPinnedForEver = INT64_MAX;
inline constexpr Microseconds kNotPinned = 0;

// "pin": also that of backup_unpin(), with kNotPinned.
struct PinNote {
  Microseconds made_at = 0;
  Microseconds pinned_until = kNotPinned;
  bool operator==(const PinNote&) const = default;
};

// "verify"
struct VerifyNote {
  Microseconds made_at = 0;   // when it ended
  uint64_t problems = 0;      // 0: sound
  std::string first_problem;  // `path: problem`, empty when sound
  uint64_t checked_bytes = 0;
  bool operator==(const VerifyNote&) const = default;
};

// "audit": a full backup found that this one does not hold what the cluster held. A verify cannot
// see that: what is stored is whole, but it is the wrong page. No later note takes it back.
struct AuditNote {
  Microseconds made_at = 0;
  std::string findings;  // `3 pages differ: base/5/16384 block 7, ...`
  bool operator==(const AuditNote&) const = default;
};

// "suspect": it refers to a pack of a backup that was found damaged. A later verify that finds it
// sound takes that back.
struct SuspectNote {
  Microseconds made_at = 0;
  std::string damaged_backup_id;
  bool operator==(const SuspectNote&) const = default;
};

[[nodiscard]] std::string EncodePinNote(const PinNote& note);
[[nodiscard]] std::string EncodeVerifyNote(const VerifyNote& note);
[[nodiscard]] std::string EncodeAuditNote(const AuditNote& note);
[[nodiscard]] std::string EncodeSuspectNote(const SuspectNote& note);
// Throw Error(kDamaged) and Error(kUnsupportedFormat); unknown fields are ignored.
[[nodiscard]] PinNote DecodePinNote(std::string_view text);
[[nodiscard]] VerifyNote DecodeVerifyNote(std::string_view text);
[[nodiscard]] AuditNote DecodeAuditNote(std::string_view text);
[[nodiscard]] SuspectNote DecodeSuspectNote(std::string_view text);

}  // namespace backup_ext
