// The time zones of PostgreSQL's own database.
#pragma once

#include <string>

#include "policy/zone.h"

#include "postgres_headers.h"

namespace backup_ext {

// Main thread only.
class PostgresZone : public Zone {
 public:
  // Empty: that of this process (setting "timezone"). Throws Error(kInvalidArgument) when there is
  // none of that name (any more).
  explicit PostgresZone(const std::string& name);

  // Empty when there is a zone of that name, else the reason: `there is no such time zone`.
  [[nodiscard]] static std::string WhyNotUsable(const char* name);

  [[nodiscard]] int64_t OffsetAt(int64_t time) const override;
  [[nodiscard]] std::optional<int64_t> NextChange(int64_t time) const override;

 private:
  const pg_tz* zone_ = nullptr;
};

}  // namespace backup_ext
