// Rows of a set-returning function, handed over as C++ values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"

struct FunctionCallInfoBaseData;

namespace backup_ext {

struct SqlNull {};
struct SqlTime {
  Microseconds at;  // since 1970; an absent one is SqlNull, the largest number is 'infinity'
};
struct SqlInterval {
  Microseconds length;
};
struct SqlLsn {
  uint64_t lsn;
};
// Text is UTF-8 or any bytes: what the database's encoding cannot hold becomes '?'.
using SqlValue = std::variant<SqlNull, bool, int32_t, int64_t, double, std::string, SqlTime,
                              SqlInterval, SqlLsn>;
using SqlRow = std::vector<SqlValue>;

// `value` when it says something, else NULL.
[[nodiscard]] SqlValue TextOrNull(const std::string& value);
[[nodiscard]] SqlValue TimeOrNull(Microseconds time);

class ResultSet {
 public:
  // Prepares the tuplestore of the call. Throws PostgresError.
  explicit ResultSet(FunctionCallInfoBaseData* call);
  // As many values as the function has columns.
  void Add(const SqlRow& row);

 private:
  FunctionCallInfoBaseData* call_;
};

// Text of the database's encoding, from UTF-8, and back.
[[nodiscard]] std::string ToServerText(const std::string& text);
[[nodiscard]] std::string FromServerText(const std::string& text);

}  // namespace backup_ext
