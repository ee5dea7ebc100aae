// Arguments of SQL functions: from PostgreSQL into plain data.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "format/names.h"

#include "postgres_headers.h"

namespace backup_ext {

// PostgreSQL's side of the border: both may raise an error. Null for SQL NULL.
inline const char* TextArgument(FunctionCallInfo fcinfo, int number) {
  return PG_ARGISNULL(number) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(number));
}
inline bool BoolArgument(FunctionCallInfo fcinfo, int number, bool if_null) {
  return PG_ARGISNULL(number) ? if_null : PG_GETARG_BOOL(number);
}
// Raises an error that names the argument when it is NULL.
inline void RequireArgument(const void* value, const char* name) {
  if (value != nullptr) return;
  ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

// "latest" for NULL. Throws Error(kInvalidArgument) for text that is no backup id. C++ side.
inline std::string BackupIdArgument(const char* asked) {
  std::string backup_id = asked == nullptr ? "latest" : asked;
  if (backup_id == "latest" || IsBackupId(backup_id)) return backup_id;
  throw Error(ErrorCode::kInvalidArgument, "\"" + backup_id + "\" is not a backup id", {},
              "See backup_list() for the ids, or use 'latest'.");
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
