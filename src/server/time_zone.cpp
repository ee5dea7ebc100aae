// The time zones of PostgreSQL's own database.
#include "time_zone.h"

#include <fmt/format.h>

#include "base/error.h"

#include "guard.h"

namespace backup_ext {
namespace {

// Null when there is none. Never freed: PostgreSQL keeps every zone that it has read.
pg_tz* FindZone(const char* name) {
  pg_tz* zone = nullptr;
  CallPostgresUninterrupted([&] { zone = pg_tzset(name); });
  return zone;
}

}  // namespace

std::string PostgresZone::WhyNotUsable(const char* name) {
  pg_tz* const zone = FindZone(name);
  if (zone == nullptr) return "there is no such time zone";
  bool acceptable = false;
  CallPostgresUninterrupted([&] { acceptable = pg_tz_acceptable(zone); });
  return acceptable ? "" : "it counts leap seconds, which PostgreSQL does not";
}

PostgresZone::PostgresZone(const std::string& name) {
  zone_ = name.empty() ? session_timezone : FindZone(name.c_str());
  if (zone_ != nullptr) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("cannot use time zone \"{}\" of backup_ext.timezone", name),
              "The server's database of time zones does not have it any more.",
              "Set another one with ALTER SYSTEM SET backup_ext.timezone, then SELECT "
              "pg_reload_conf().");
}

int64_t PostgresZone::OffsetAt(int64_t time) const {
  const pg_time_t seconds = time;
  int64_t offset = 0;
  CallPostgresUninterrupted([&] {
    const struct pg_tm* const local = pg_localtime(&seconds, zone_);
    if (local != nullptr) offset = local->tm_gmtoff;
  });
  return offset;
}

std::optional<int64_t> PostgresZone::NextChange(int64_t time) const {
  const pg_time_t seconds = time;
  pg_time_t boundary = 0;
  bool found = false;
  CallPostgresUninterrupted([&] {
    long int offset_before = 0, offset_after = 0;
    int daylight_before = 0, daylight_after = 0;
    found = pg_next_dst_boundary(&seconds, &offset_before, &daylight_before, &boundary,
                                 &offset_after, &daylight_after, zone_) == 1;
  });
  // One that is not later would make the caller turn for ever.
  if (!found || boundary <= time) return std::nullopt;
  return boundary;
}

}  // namespace backup_ext
