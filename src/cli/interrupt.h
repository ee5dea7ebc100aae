// Ctrl-C ends a restore in order: what it wrote is removed again.
#pragma once

namespace backup_ext {

// From now on SIGINT, SIGTERM and SIGHUP are only noted.
void CatchInterrupts();
// Throws Error(kCanceled) once one has come.
void ThrowIfInterrupted();

}  // namespace backup_ext
