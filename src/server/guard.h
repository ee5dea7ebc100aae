// PostgreSQL to C++: runs one small PostgreSQL call and turns its error into a C++ exception.
//
// A PostgreSQL error is a longjmp: it must never cross a C++ frame that owns something. Everything
// that C++ code asks of PostgreSQL goes through CallPostgres(); the callable must own nothing with
// a destructor, and nothing but it may lie between the guard and the call.
#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace backup_ext {

// An error that PostgreSQL raised, with everything that it said.
class PostgresError : public Error {
 public:
  PostgresError(ErrorCode code, std::string message, std::string detail, std::string hint,
                std::string context)
      : Error(code, std::move(message), std::move(detail), std::move(hint)),
        context_(std::move(context)) {}
  [[nodiscard]] const std::string& context() const { return context_; }

 private:
  std::string context_;
};

namespace guard_internal {
// Throws PostgresError when `call` raises an error. Locks that the failed call held are released.
void Run(void (*call)(void*), void* argument);
}  // namespace guard_internal

// Main thread only (asserted: another thread is an Error(kInternal), before PostgreSQL is entered).
template <typename Call>
void CallPostgres(Call&& call) {
  using Body = std::remove_reference_t<Call>;
  guard_internal::Run([](void* argument) { (*static_cast<Body*>(argument))(); },
                      const_cast<void*>(static_cast<const void*>(std::addressof(call))));
}

// The same with interrupts held: the call can neither be cancelled nor end the process. For every
// call that is made while threads live.
template <typename Call>
void CallPostgresUninterrupted(Call&& call);

namespace guard_internal {
// Holds interrupts from its construction to its destruction, errors included.
class HoldInterrupts {
 public:
  HoldInterrupts();
  ~HoldInterrupts();
  HoldInterrupts(const HoldInterrupts&) = delete;
  HoldInterrupts& operator=(const HoldInterrupts&) = delete;
};
}  // namespace guard_internal

template <typename Call>
void CallPostgresUninterrupted(Call&& call) {
  const guard_internal::HoldInterrupts hold;
  CallPostgres(std::forward<Call>(call));
}

}  // namespace backup_ext
