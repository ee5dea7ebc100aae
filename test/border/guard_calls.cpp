// From C++ into PostgreSQL: calls that fail, with the guard and without.
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/worker_pool.h"

#include "boundary.h"
#include "guard.h"

#include "border.h"

namespace backup_ext_border {

using backup_ext::CallPostgres;
using backup_ext::CallPostgresUninterrupted;
using backup_ext::Enter;
using backup_ext::PlainError;
using backup_ext::PostgresError;
using backup_ext::RunCatchingAll;

void RaiseWithEverything() {
  ereport(ERROR, (errcode(MAKE_SQLSTATE('B', 'X', '0', '0', '1')),
                  errmsg("cannot cross the border"), errdetail("The gate is closed."),
                  errhint("Use the door."), errcontext("at the border")));
  pg_unreachable();
}

namespace {

struct BackendState {
  uint32 interrupts_held;
  uint32 cancels_held;
  MemoryContext memory_context;
  ResourceOwner resource_owner;
  sigjmp_buf* exception_stack;
  ErrorContextCallback* context_stack;
};

BackendState Now() {
  return {InterruptHoldoffCount, QueryCancelHoldoffCount, CurrentMemoryContext,
          CurrentResourceOwner,  PG_exception_stack,      error_context_stack};
}

void SayNothing(void* /*argument*/) {}

// Fails with everything changed that a PostgreSQL function may leave changed when it fails.
void FailWithEverythingChanged() {
  ErrorContextCallback callback = {error_context_stack, SayNothing, nullptr};
  error_context_stack = &callback;
  HOLD_INTERRUPTS();
  MemoryContextSwitchTo(TopMemoryContext);
  CurrentResourceOwner = nullptr;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  RaiseWithEverything();
}

void FailGuarded() {
  try {
    CallPostgres([] { FailWithEverythingChanged(); });
  } catch (const PostgresError&) {
  }
}

void FailUninterrupted() {
  try {
    CallPostgresUninterrupted([] { FailWithEverythingChanged(); });
  } catch (const PostgresError&) {
  }
}

// The guard as one writes it at first.
void FailInPgTry() {
  PG_TRY();
  { FailWithEverythingChanged(); }
  PG_CATCH();
  { FlushErrorState(); }
  PG_END_TRY();
}

const char* Kept(bool kept) { return kept ? "kept" : "lost"; }

// Runs `fail` while interrupts are held twice and cancels once. The text says what is left of that.
char* DescribeStateAfter(void (*fail)()) {
  HOLD_INTERRUPTS();
  HOLD_INTERRUPTS();
  HOLD_CANCEL_INTERRUPTS();
  const BackendState before = Now();
  fail();
  const BackendState after = Now();
  const bool lock_held = LWLockHeldByMe(AddinShmemInitLock);

  // What the naive way left behind must not disturb the session that tells about it.
  LWLockReleaseAll();
  InterruptHoldoffCount = before.interrupts_held - 2;
  QueryCancelHoldoffCount = before.cancels_held - 1;
  CurrentResourceOwner = before.resource_owner;
  MemoryContextSwitchTo(before.memory_context);
  return psprintf(
      "interrupts %s, cancels %s, memory context %s, resource owner %s, "
      "exception stack %s, context stack %s, lock %s",
      Kept(after.interrupts_held == before.interrupts_held),
      Kept(after.cancels_held == before.cancels_held),
      Kept(after.memory_context == before.memory_context),
      Kept(after.resource_owner == before.resource_owner),
      Kept(after.exception_stack == before.exception_stack),
      Kept(after.context_stack == before.context_stack), lock_held ? "still held" : "released");
}

void CheckForInterrupts() { CHECK_FOR_INTERRUPTS(); }

}  // namespace
}  // namespace backup_ext_border

extern "C" {

using namespace backup_ext_border;

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(border_live_frames);
PG_FUNCTION_INFO_V1(border_error);
PG_FUNCTION_INFO_V1(border_naive_error);
PG_FUNCTION_INFO_V1(border_int4in);
PG_FUNCTION_INFO_V1(border_nested_error);
PG_FUNCTION_INFO_V1(border_error_after_error);
PG_FUNCTION_INFO_V1(border_state_after_error);
PG_FUNCTION_INFO_V1(border_call_with_pending);
PG_FUNCTION_INFO_V1(border_call_from_thread);

Datum border_live_frames(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  PG_RETURN_INT32(Frame::live());
}

Datum border_error(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  Enter([] {
    const Frame frame;
    CallPostgres([] { RaiseWithEverything(); });
  });
  PG_RETURN_VOID();
}

Datum border_naive_error(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  const Frame frame;
  RaiseWithEverything();
  PG_RETURN_VOID();
}

Datum border_int4in(PG_FUNCTION_ARGS) {
  const char* const text = Text(fcinfo, 0);
  int32 value = 0;
  Enter([text, &value] {
    const Frame frame;
    CallPostgres([text, &value] {
      value = DatumGetInt32(DirectFunctionCall1(int4in, CStringGetDatum(text)));
    });
  });
  PG_RETURN_INT32(value);
}

// PostgreSQL calls C++, which calls PostgreSQL, which calls C++, which calls PostgreSQL: fails.
Datum border_nested_error(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  Enter([] {
    const Frame frame;
    CallPostgres([] { (void)DirectFunctionCall1(border_error, Datum{0}); });
  });
  PG_RETURN_VOID();
}

// The inner guard's error is dealt with; the outer guard must see the next one.
Datum border_error_after_error(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  Enter([] {
    const Frame frame;
    CallPostgres([] {
      FailGuarded();
      ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("the second error")));
    });
  });
  PG_RETURN_VOID();
}

Datum border_state_after_error(PG_FUNCTION_ARGS) {
  const std::string_view how = Text(fcinfo, 0);
  const char* const text = DescribeStateAfter(how == "guard"           ? FailGuarded
                                              : how == "uninterrupted" ? FailUninterrupted
                                                                       : FailInPgTry);
  PG_RETURN_TEXT_P(cstring_to_text(text));
}

// A call that would serve a pending cancel or terminate.
Datum border_call_with_pending(PG_FUNCTION_ARGS) {
  const bool cancel = strcmp(Text(fcinfo, 0), "cancel") == 0;
  const bool uninterrupted = strcmp(Text(fcinfo, 1), "uninterrupted") == 0;
  (cancel ? QueryCancelPending : ProcDiePending) = true;
  InterruptPending = true;
  Enter([uninterrupted] {
    const Frame frame;
    if (uninterrupted) {
      CallPostgresUninterrupted([] { CheckForInterrupts(); });
    } else {
      CallPostgres([] { CheckForInterrupts(); });
    }
  });
  const bool still_pending = cancel ? QueryCancelPending : ProcDiePending;
  (cancel ? QueryCancelPending : ProcDiePending) = false;
  PG_RETURN_TEXT_P(cstring_to_text(still_pending ? "still pending" : "gone"));
}

Datum border_call_from_thread(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  bool entered = false;
  PlainError error = {};
  const bool accepted = RunCatchingAll(
      [&entered] {
        backup_ext::WorkerPool pool(1, 1);
        (void)pool.TryPost([&entered](int) { CallPostgres([&entered] { entered = true; }); });
        while (!pool.DrainFor(1000)) {
        }
      },
      &error);
  PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s|%s|%s", accepted ? "accepted" : error.sql_state,
                                            error.message, entered ? "entered" : "not entered")));
}

}  // extern "C"
