// C++ to PostgreSQL: no exception leaves our code.
//
// At every extern "C" frame Enter() runs the C++ part. Its catch-all copies the error into plain
// data, leaves the handler, and only then reports it: jumping out of a catch block leaks the
// exception, and what a PostgreSQL error said must come out again with all its fields.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>

namespace backup_ext {

// An error as plain data: it can lie in shared memory and on a frame that is jumped over. Texts are
// cut to their room.
struct PlainError {
  char sql_state[6];
  bool canceled;  // somebody cancelled it: nothing went wrong
  char message[1024];
  char detail[1024];
  char hint[512];
  char context[512];
};

// The exception that is being handled, as plain data. Only inside a catch block. Never throws.
void DescribeCurrentException(PlainError* error) noexcept;

// ereport(level): with ERROR it does not return.
void ReportPlainError(const PlainError& error, int level);

namespace boundary_internal {
[[nodiscard]] bool RunCatchingAll(void (*body)(void*), void* argument, PlainError* error) noexcept;
[[noreturn]] void Raise(const PlainError& error);
}  // namespace boundary_internal

// Runs `body`; false with `*error` filled when it threw anything.
template <typename Body>
[[nodiscard]] bool RunCatchingAll(Body&& body, PlainError* error) noexcept {
  using Callable = std::remove_reference_t<Body>;
  return boundary_internal::RunCatchingAll(
      [](void* argument) { (*static_cast<Callable*>(argument))(); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))), error);
}

// Runs `body` and raises what it threw as a PostgreSQL error. The caller's frame must own nothing.
template <typename Body>
void Enter(Body&& body) {
  PlainError error;
  if (!RunCatchingAll(body, &error)) boundary_internal::Raise(error);
}

}  // namespace backup_ext
