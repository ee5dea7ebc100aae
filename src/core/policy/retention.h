// Which backups are kept, and why: a pure decision on plain values.
//
// The rules, each a test in test/unit/policy/retention_test.cpp:
// - time is counted from the newest good backup, not from now: days without a backup remove
//   nothing, and without any good backup nothing is removed at all;
// - that newest good backup is always kept, and so are the newest `keep` good ones, and the newest
//   `keep` good ones that the schedule took: those taken by hand push none of these out;
// - a damaged backup counts for nothing and goes by its age;
// - a pin keeps its own backup and no other;
// - every backup is complete by itself: no backup is kept for the sake of another.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"

namespace backup_ext {

struct RetentionRules {
  Microseconds retention = 0;
  int keep = 1;
};

enum class PinState { kNone, kUntil, kForEver, kUnreadable };

struct RetentionBackup {
  std::string backup_id;
  Microseconds started_at = 0;
  Microseconds finished_at = 0;
  bool scheduled = false;
  // Complete, and no verify found damage in it since.
  bool good = false;
  PinState pin = PinState::kNone;
  Microseconds pinned_until = 0;  // of kUntil
};

struct RetentionDecision {
  bool keep = true;
  bool is_newest_good = false;
  std::string because;  // always set
  // From then on the next success removes it; nothing: as things are, never.
  std::optional<Microseconds> expires_at;
};

// One decision a backup, in the order given, which may be any.
[[nodiscard]] std::vector<RetentionDecision> DecideRetention(
    std::span<const RetentionBackup> backups, const RetentionRules& rules, Microseconds now);

// The backup that must not be dropped by mistake: the newest good one; where there is none, the
// newest of what there is. Nothing when there is no backup.
[[nodiscard]] std::optional<size_t> NewestGoodBackup(std::span<const RetentionBackup> backups,
                                                     Microseconds now);

}  // namespace backup_ext
