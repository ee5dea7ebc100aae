// The end of an activated stage's first start, where the server itself did not come to it.
#include "first_start_end.h"

#include <exception>
#include <string>

#include "restore/first_start.h"

#include "guard.h"
#include "postgres_headers.h"

namespace backup_ext {
namespace {

// What ALTER SYSTEM holds while it replaces the file.
class AutoFileGuard {
 public:
  AutoFileGuard() {
    CallPostgres([] { LWLockAcquire(AutoFileLock, LW_EXCLUSIVE); });
  }
  ~AutoFileGuard() { LWLockRelease(AutoFileLock); }
  AutoFileGuard(const AutoFileGuard&) = delete;
  AutoFileGuard& operator=(const AutoFileGuard&) = delete;
};

bool IsRecoveryToBeRepeated() noexcept {
  try {
    return RepeatFirstRecovery(DataDir);
  } catch (const std::exception&) {
    return false;  // nothing stops a server from starting
  }
}

}  // namespace

void RepeatFirstRecoveryAtStart() {
  if (!IsRecoveryToBeRepeated()) return;
  ereport(LOG, (errmsg("backup_ext: the first recovery of this activated stage did not come to its "
                       "end and is done again")));
}

bool EndFirstStart() {
  const std::string directory = DataDir;
  if (!IsFirstStartUnfinished(directory)) return true;
  // The startup process runs recovery_end_command before it ends the recovery for all to see.
  bool in_recovery = false;
  CallPostgres([&] { in_recovery = RecoveryInProgress(); });
  if (in_recovery) return false;
  bool is_done = false;
  {
    const AutoFileGuard guard;
    is_done = FinishFirstStart(directory);
  }
  if (!is_done) return true;
  CallPostgres([] {
    ereport(WARNING,
            (errmsg("backup_ext: the origin's postgresql.auto.conf is in place now"),
             errdetail("The recovery of this activated stage ended without putting it there."),
             errhint("Restart the server when it suits: what only the recovery needed "
                     "(hot_standby = off) is in force until then.")));
  });
  return true;
}

}  // namespace backup_ext
