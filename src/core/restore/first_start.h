// The first start of an activated stage: the server recovers, and then the origin's
// postgresql.auto.conf is to take the place of the one that the recovery needs.
//
// The server does it itself by recovery_end_command. But it removes recovery.signal first, then
// makes a checkpoint, and runs the command last: after a crash in between, it never runs it again.
// Source: src/backend/access/transam/xlog.c, StartupXLOG(), CleanupAfterArchiveRecovery().
//
// A crash before the end of that checkpoint loses the new timeline too: what follows is a recovery
// after a crash, on the timeline of the origin, whose WAL it would then contradict.
#pragma once

#include <string>

namespace backup_ext {

// postgresql.auto.conf as it was backed up.
[[nodiscard]] std::string OriginAutoConf(const std::string& directory);
// The one that takes its place after the first recovery; gone when it did.
[[nodiscard]] std::string NextAutoConf(const std::string& directory);
// That of the stage. While it is there, the guards are not in force.
[[nodiscard]] std::string GuardedAutoConf(const std::string& directory);

// postgresql.auto.conf of the first start, from the two files above.
[[nodiscard]] std::string FirstStartAutoConf(const std::string& directory);

// True when the recovery is over, or was, and the origin's file is not in force: to be asked when
// no server is in recovery there.
[[nodiscard]] bool IsFirstStartUnfinished(const std::string& directory);

enum class FirstStartRemedy { kNone, kRepeatRecovery, kFinish };
// Which of the two functions below has something to do; to be asked when no server runs there.
[[nodiscard]] FirstStartRemedy RemedyOfFirstStart(const std::string& directory);

// Where the recovery did not come to its end: the next start does it again. True when there was
// something to do. No server may be beyond its very start there. Throws any Error of the operating
// system.
bool RepeatFirstRecovery(const std::string& directory);

// Puts the origin's file in force then, with what ALTER SYSTEM has changed since; true when there
// was something to do. It can be called again after a crash in the middle of it. Throws any Error
// of the operating system.
bool FinishFirstStart(const std::string& directory);

}  // namespace backup_ext
