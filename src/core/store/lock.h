// The writer's lock of a repository: one backup or expiry at a time.
//
// A lock of the operating system on locks/writer.lock (open file description lock): it ends with
// the process that holds it, however that ends. The file's content says who holds it, for messages
// only. doc/repository_format.md, "Lock".
#pragma once

#include <memory>
#include <string>

#include "store/repository.h"

namespace backup_ext {

class WriterLock {
 public:
  // Throws Error(kLocked), naming the holder, when somebody else has it. `holder`: who we are,
  // `backup 2026... (PID 123 on host)`.
  [[nodiscard]] static std::unique_ptr<WriterLock> Acquire(const Repository& repository,
                                                           const std::string& holder);
  virtual ~WriterLock() = default;
  // Throws Error(kLocked) when the lock is no longer ours (its file was removed or replaced).
  // Called right before a commit.
  virtual void Check() const = 0;
};

}  // namespace backup_ext
