// From C++ out to PostgreSQL: exceptions of every kind, with the catch-all and without.
#include <malloc.h>

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"

#include "boundary.h"
#include "guard.h"

#include "border.h"

namespace backup_ext_border {

using backup_ext::CallPostgres;
using backup_ext::Enter;
using backup_ext::Error;
using backup_ext::ErrorCode;

namespace {

std::string Repeat(std::string_view text) {
  std::string repeated;
  while (repeated.size() < 10'000) repeated += text;
  return repeated;
}

[[noreturn]] void Throw(std::string_view what) {
  if (what == "Error") {
    throw Error(ErrorCode::kNoSpace, "could not write the page", "The disk is full.",
                "Make room for it.");
  }
  if (what == "PostgresError") CallPostgres([] { RaiseWithEverything(); });
  if (what == "bad_alloc") throw std::bad_alloc();
  if (what == "runtime_error") throw std::runtime_error("100% of %s went wrong");
  if (what == "long, 2") throw std::runtime_error(Repeat("\u00e4"));
  if (what == "long, 3") throw std::runtime_error(Repeat("\u20ac"));
  throw 42;
}

void FailWithCatchAll() {
  Enter([] { Throw("Error"); });
}

// The catch-all as one writes it at first: reports from inside the handler.
void FailInsideHandler() {
  try {
    Throw("Error");
  } catch (const Error& error) {
    ereport(ERROR, (errmsg("%s", error.message().c_str())));
  }
}

// As PL/pgSQL does with a block that has an exception clause.
void Swallow(void (*fail)()) {
  const MemoryContext memory_context = CurrentMemoryContext;
  PG_TRY();
  { fail(); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(memory_context);
    FlushErrorState();
  }
  PG_END_TRY();
}

size_t BytesInUse() { return mallinfo2().uordblks; }

int64 HeapGrowth(void (*fail)(), int errors) {
  // What the C library and PostgreSQL keep after a first error is not a leak.
  for (int i = 0; i < 100; ++i) Swallow(fail);
  const size_t before = BytesInUse();
  for (int i = 0; i < errors; ++i) Swallow(fail);
  return static_cast<int64>(BytesInUse()) - static_cast<int64>(before);
}

}  // namespace
}  // namespace backup_ext_border

extern "C" {

using namespace backup_ext_border;

PG_FUNCTION_INFO_V1(border_throw);
PG_FUNCTION_INFO_V1(border_naive_throw);
PG_FUNCTION_INFO_V1(border_heap_growth);

Datum border_throw(PG_FUNCTION_ARGS) {
  const char* const what = Text(fcinfo, 0);
  Enter([what] {
    const Frame frame;
    Throw(what);
  });
  PG_RETURN_VOID();
}

Datum border_naive_throw(PG_FUNCTION_ARGS) {
  Throw(Text(fcinfo, 0));
  PG_RETURN_VOID();
}

Datum border_heap_growth(PG_FUNCTION_ARGS) {
  const bool naive = strcmp(Text(fcinfo, 0), "naive") == 0;
  PG_RETURN_INT64(HeapGrowth(naive ? FailInsideHandler : FailWithCatchAll, PG_GETARG_INT32(1)));
}

}  // extern "C"
