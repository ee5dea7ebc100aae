// The lease in the writer's lock: a sign of life for other machines. Private to this room.
//
// A lock of the operating system may hold on one machine only (a network file system without
// locks). Whoever gets the lock while the file names another machine's lease waits until that is
// renewed, then its holder lives, or until it has not been for as long as it promised: then the
// holder is dead. No clock of another machine is believed. doc/repository_format.md, "Lock".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

struct Lease {
  std::string token;    // of one holder and acquisition: 32 hexadecimal digits
  uint64_t beat = 0;    // grows with each sign of life
  int64_t seconds = 0;  // so long it may be silent
  std::string boot_id;  // of the holder's machine; empty: not known
  bool operator==(const Lease&) const = default;
};
inline constexpr int64_t kLeaseSeconds = 60;
inline constexpr int64_t kLongestLeaseSeconds = 24LL * 3600;

// The content of the lock file: who holds it, in one line, and the lease. Of the same size for the
// same holder and machine, so that renewing it needs no room.
[[nodiscard]] std::string EncodeLease(std::string_view holder, const Lease& lease);
// Nothing when there is none, or when it is not whole.
[[nodiscard]] std::optional<Lease> ParseLease(std::string_view content);

// Watches a lease of another machine, by MonotonicNow().
class LeaseWatch {
 public:
  enum class Verdict { kWait, kLives, kEnded };

  LeaseWatch(const Lease& lease, Microseconds now) : lease_(lease), seen_at_(now) {}
  // `content`: of the file now.
  [[nodiscard]] Verdict Judge(std::string_view content, Microseconds now) const;

 private:
  Lease lease_;
  Microseconds seen_at_;
};

}  // namespace backup_ext
