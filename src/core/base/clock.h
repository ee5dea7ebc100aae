// Wall-clock time as one integer, and its text forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace backup_ext {

// Microseconds since 1970-01-01 00:00:00 UTC.
using Microseconds = int64_t;
inline constexpr Microseconds kMicrosecondsPerSecond = 1'000'000;

// Whoever works or waits for long visits its pause point this often, so that a cancel is seen soon.
inline constexpr int kPauseEveryMs = 100;
inline constexpr Microseconds kPauseEvery = kPauseEveryMs * 1000;

[[nodiscard]] Microseconds Now();
// Never goes back; only differences mean something.
[[nodiscard]] Microseconds MonotonicNow();

// 2026-11-23T10:32:45.123456Z. Here and below, times outside the years 0000 to 9999 become the
// first or last moment of these.
[[nodiscard]] std::string FormatTime(Microseconds time);
// Reads that form only; throws Error(kDamaged) for any other.
[[nodiscard]] Microseconds ParseTime(std::string_view text);
// 20261123-103245, UTC: sorts as time does. Part of ids.
[[nodiscard]] std::string FormatTimeForId(Microseconds time);
// 2026-11-23 10:32:45 GMT, as a backup_manifest wants it. Seconds since the epoch.
[[nodiscard]] std::string FormatTimeGmt(int64_t seconds);

}  // namespace backup_ext
