// PostgreSQL to C++: the one place that catches PostgreSQL's errors.
#include "guard.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <new>

#include "postgres_headers.h"

namespace backup_ext {
namespace {

// The error that was caught, copied into the current memory context; null when there is no memory
// for it: a second error must not jump over the frames above either.
ErrorData* CopyCaughtError() noexcept {
  sigjmp_buf* const saved_stack = PG_exception_stack;
  ErrorData* volatile error = nullptr;
  sigjmp_buf local;
  if (sigsetjmp(local, 0) == 0) {
    PG_exception_stack = &local;
    error = CopyErrorData();
  }
  PG_exception_stack = saved_stack;
  FlushErrorState();
  return error;
}

// Plain data only: sigsetjmp() returns a second time into this frame.
// Returns false with a copy of the error, made in the caller's memory context.
bool TryCall(void (*call)(void*), void* argument, ErrorData** error) noexcept {
  sigjmp_buf* const saved_stack = PG_exception_stack;
  ErrorContextCallback* const saved_context_stack = error_context_stack;
  const MemoryContext saved_context = CurrentMemoryContext;
  const ResourceOwner saved_owner = CurrentResourceOwner;
  // errfinish() sets both to zero: an error inside a section that holds them would open it.
  const uint32 saved_holdoff = InterruptHoldoffCount;
  const uint32 saved_cancel_holdoff = QueryCancelHoldoffCount;
  sigjmp_buf local;

  if (sigsetjmp(local, 0) == 0) {
    PG_exception_stack = &local;
    // Our callers' context is added when the error is raised again: once is enough.
    error_context_stack = nullptr;
    call(argument);
    PG_exception_stack = saved_stack;
    error_context_stack = saved_context_stack;
    return true;
  }
  PG_exception_stack = saved_stack;
  error_context_stack = saved_context_stack;
  InterruptHoldoffCount = saved_holdoff;
  QueryCancelHoldoffCount = saved_cancel_holdoff;
  CurrentResourceOwner = saved_owner;
  MemoryContextSwitchTo(saved_context);
  *error = CopyCaughtError();
  // Who catches an error here ends the operation, but destructors on the way may take locks again.
  LWLockReleaseAll();
  ConditionVariableCancelSleep();
  pgstat_report_wait_end();
  return false;
}

std::string Text(const char* text) { return text == nullptr ? std::string() : std::string(text); }

ErrorCode CodeOf(int sql_error_code) {
  switch (sql_error_code) {
    case ERRCODE_QUERY_CANCELED:
      return ErrorCode::kCanceled;
    case ERRCODE_ADMIN_SHUTDOWN:
      return ErrorCode::kTerminated;
    case ERRCODE_INSUFFICIENT_PRIVILEGE:
      return ErrorCode::kPermissionDenied;
    case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
      return ErrorCode::kNotInPrerequisiteState;
    default:
      return ErrorCode::kInternal;
  }
}

bool OnMainThread() { return syscall(SYS_gettid) == getpid(); }

}  // namespace

namespace guard_internal {

void Run(void (*call)(void*), void* argument) {
  if (!OnMainThread()) {
    throw Error(ErrorCode::kInternal, "PostgreSQL was called from a thread");
  }
  ErrorData* error = nullptr;
  if (TryCall(call, argument, &error)) return;
  if (error == nullptr) throw std::bad_alloc();
  PostgresError thrown(CodeOf(error->sqlerrcode), Text(error->message), Text(error->detail),
                       Text(error->hint), Text(error->context));
  thrown.set_sql_state(unpack_sql_state(error->sqlerrcode));
  FreeErrorData(error);
  throw thrown;
}

HoldInterrupts::HoldInterrupts() { HOLD_INTERRUPTS(); }
HoldInterrupts::~HoldInterrupts() { RESUME_INTERRUPTS(); }

}  // namespace guard_internal
}  // namespace backup_ext
