// The writer's lock of a repository: one backup or expiry at a time.
//
// A lock of the operating system on locks/writer.lock (open file description lock): it ends with
// the process that holds it, however that ends. For machines between which such locks do not hold
// the file carries a lease (lease.h): who holds the lock renews it, and a dead holder loses it. The
// rest of the content says who holds it, for messages. doc/repository_format.md, "Lock".
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "store/repository.h"

namespace backup_ext {

class WriterLock {
 public:
  // Throws Error(kLocked), naming the holder, when somebody else has it. `holder`: who we are,
  // `backup 2026... (PID 123 on host)`. Where a holder on another machine may be dead it waits
  // until that is certain, a minute as a rule, and calls `pause_point` meanwhile.
  [[nodiscard]] static std::unique_ptr<WriterLock> Acquire(
      const Repository& repository, const std::string& holder,
      const std::function<void()>& pause_point = {});
  virtual ~WriterLock() = default;

  // Shows other machines that the holder lives: to be called every few seconds, cheap when called
  // more often. Throws Error(kLocked) when the lock was taken over, Error of the file system.
  virtual void Renew() = 0;
  // The same, before up to `seconds` in which Renew() cannot be called.
  virtual void RenewFor(int64_t seconds) = 0;

  // Throws Error(kLocked) when the lock is no longer ours (taken over, or its file was removed or
  // replaced). Called right before a commit.
  virtual void Check() const = 0;
};

// Whether Acquire() would be refused now by a holder on this machine. For previews: it may change
// at once.
[[nodiscard]] bool IsWriterLocked(const Repository& repository);

}  // namespace backup_ext
