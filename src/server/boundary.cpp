// C++ to PostgreSQL: the catch-all, and the report after it.
#include "boundary.h"

#include <cstring>
#include <new>

#include "guard.h"
#include "plain_text.h"

#include "postgres_headers.h"

namespace backup_ext {
namespace {

void Clear(PlainError* error) noexcept {
  std::memset(static_cast<void*>(error), 0, sizeof(*error));
  CopyText("XX000", error->sql_state);
}

void Fill(const Error& from, PlainError* to) noexcept {
  CopyText(from.sql_state(), to->sql_state);
  CopyText(from.message(), to->message);
  CopyText(from.detail(), to->detail);
  CopyText(from.hint(), to->hint);
  to->canceled = from.code() == ErrorCode::kCanceled;
}

}  // namespace

void DescribeCurrentException(PlainError* error) noexcept {
  Clear(error);
  try {
    throw;
  } catch (const PostgresError& e) {
    Fill(e, error);
    CopyText(e.context(), error->context);
  } catch (const Error& e) {
    Fill(e, error);
  } catch (const std::bad_alloc&) {
    CopyText("53200", error->sql_state);
    CopyText("out of memory", error->message);
  } catch (const std::exception& e) {
    CopyText(e.what(), error->message);
  } catch (...) {
    CopyText("unknown C++ exception", error->message);
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
