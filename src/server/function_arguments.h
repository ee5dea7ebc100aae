// Arguments of SQL functions: from PostgreSQL into plain data.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"

#include "postgres_headers.h"

namespace backup_ext {

// PostgreSQL's side of the border: both may raise an error. Null for SQL NULL.
inline const char* TextArgument(FunctionCallInfo fcinfo, int number) {
  return PG_ARGISNULL(number) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(number));
}
inline bool BoolArgument(FunctionCallInfo fcinfo, int number, bool if_null) {
  return PG_ARGISNULL(number) ? if_null : PG_GETARG_BOOL(number);
}

// Copies a text into its room in a request; throws Error(kInvalidArgument) naming `what` when it
// does not fit. C++ side.
template <size_t kRoom>
void CopyArgument(std::string_view from, std::string_view what, char (&to)[kRoom]) {
  if (from.size() >= kRoom) {
    throw Error(ErrorCode::kInvalidArgument, std::string(what) + " is too long: at most " +
                                                 std::to_string(kRoom - 1) + " bytes are allowed");
  }
  std::memcpy(to, from.data(), from.size());
  to[from.size()] = '\0';
}

}  // namespace backup_ext
