// A time zone, as far as windows need one. PostgreSQL's own database stands behind it in the
// server; the policy knows none.
#pragma once

#include <cstdint>
#include <optional>

namespace backup_ext {

// Times are seconds since 1970-01-01 00:00:00 UTC.
class Zone {
 public:
  virtual ~Zone() = default;
  // Seconds to add to UTC for the local time.
  [[nodiscard]] virtual int64_t OffsetAt(int64_t time) const = 0;
  // The first moment after `time` at which the offset may be another one; nothing when none comes.
  [[nodiscard]] virtual std::optional<int64_t> NextChange(int64_t time) const = 0;
};

}  // namespace backup_ext
