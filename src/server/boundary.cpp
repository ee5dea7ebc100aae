// C++ to PostgreSQL: the catch-all, and the report after it.
#include "boundary.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "guard.h"

#include "postgres_headers.h"

namespace backup_ext {
namespace {

template <size_t kRoom>
void Copy(std::string_view from, char (&to)[kRoom]) noexcept {
  size_t length = std::min(from.size(), kRoom - 1);
  // Not inside a character: half of one is no text. One of UTF-8 has up to 4 bytes.
  for (int i = 0; i < 3 && length < from.size() && (from[length] & 0xC0) == 0x80; ++i) --length;
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

void Clear(PlainError* error) noexcept {
  std::memset(static_cast<void*>(error), 0, sizeof(*error));
  Copy("XX000", error->sql_state);
}

void Fill(const Error& from, PlainError* to) noexcept {
  Copy(from.sql_state(), to->sql_state);
  Copy(from.message(), to->message);
  Copy(from.detail(), to->detail);
  Copy(from.hint(), to->hint);
  to->canceled = from.code() == ErrorCode::kCanceled;
}

}  // namespace

void DescribeCurrentException(PlainError* error) noexcept {
  Clear(error);
  try {
    throw;
  } catch (const PostgresError& e) {
    Fill(e, error);
    Copy(e.context(), error->context);
  } catch (const Error& e) {
    Fill(e, error);
  } catch (const std::bad_alloc&) {
    Copy("53200", error->sql_state);
    Copy("out of memory", error->message);
  } catch (const std::exception& e) {
    Copy(e.what(), error->message);
  } catch (...) {
    Copy("unknown C++ exception", error->message);
  }
}

void ReportPlainError(const PlainError& error, int level) {
  const char* const state = error.sql_state;
  ereport(level, (errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
                  errmsg_internal("%s", error.message),
                  error.detail[0] != '\0' ? errdetail_internal("%s", error.detail) : 0,
                  error.hint[0] != '\0' ? errhint("%s", error.hint) : 0,
                  error.context[0] != '\0' ? errcontext("%s", error.context) : 0));
}

namespace boundary_internal {

bool RunCatchingAll(void (*body)(void*), void* argument, PlainError* error) noexcept {
  try {
    body(argument);
    return true;
  } catch (...) {
    DescribeCurrentException(error);
  }
  return false;
}

void Raise(const PlainError& error) {
  ReportPlainError(error, ERROR);
  pg_unreachable();
}

}  // namespace boundary_internal
}  // namespace backup_ext
