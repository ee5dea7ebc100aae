// Ctrl-C ends a restore in order: what it wrote is removed again.
#include "interrupt.h"

#include <signal.h>

#include <csignal>

#include "base/error.h"

namespace backup_ext {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void NoteInterrupt(int) { interrupted = 1; }

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = NoteInterrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(signal_number, &action, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

void ThrowIfInterrupted() {
  if (interrupted != 0) throw Error(ErrorCode::kCanceled, "canceled by the user");
}

}  // namespace backup_ext
