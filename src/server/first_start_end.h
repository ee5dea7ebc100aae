// The end of an activated stage's first start, where the server itself did not come to it.
#pragma once

namespace backup_ext {

// From _PG_init in the postmaster, before the startup process. Where the first recovery of an
// activated stage ended in a crash, it is done again, onto a timeline of its own.
void RepeatFirstRecoveryAtStart();

// Puts the origin's postgresql.auto.conf in force where the recovery of an activated stage is over
// and its recovery_end_command did not do it, and warns. False while it is too early to tell: to be
// asked again. Throws Error.
[[nodiscard]] bool EndFirstStart();

}  // namespace backup_ext
