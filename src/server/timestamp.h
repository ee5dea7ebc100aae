// PostgreSQL's timestamps, which count from 2000, and ours, which count from 1970.
#pragma once

#include "base/clock.h"

#include "postgres_headers.h"

namespace backup_ext {

inline constexpr Microseconds kPostgresEpoch =
    static_cast<int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

// 0 means "none" on both sides.
inline Microseconds FromTimestamp(TimestampTz time) {
  return time == 0 ? 0 : time + kPostgresEpoch;
}

// The largest number is 'infinity'; what comes before PostgreSQL's first time is '-infinity'.
inline TimestampTz ToTimestamp(Microseconds time) {
  if (time == PG_INT64_MAX) return DT_NOEND;
  return time < MIN_TIMESTAMP + kPostgresEpoch ? DT_NOBEGIN : time - kPostgresEpoch;
}

}  // namespace backup_ext
