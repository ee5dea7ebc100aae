// Copies WAL segments beside everything else, as the server names them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "backup/copy_environment.h"
#include "backup/entry_queue.h"
#include "backup/run_loop.h"
#include "base/worker_pool.h"
#include "format/manifest.h"

namespace backup_ext {

// Main thread. Has a thread of its own, so that WAL never waits behind the cluster's files nor for
// `max_rate`: the server keeps every segment until it is stored, and ends a backup that lags too
// far behind (max_slot_wal_keep_size). That thread's worker is the last of the environment.
class WalCopier {
 public:
  // `loop` may be made later: it is not used before Drain().
  WalCopier(CopyEnvironment* environment, RunLoop* loop);

  // May be called from the pause point. Does nothing after TakeEntries(). Throws
  // Error(kInvalidArgument) for a name that is no segment's.
  void Post(const std::string& file_name, uint64_t bytes);
  // Hands to the thread what it has room for, and takes what it finished. Rethrows its error.
  void Advance();
  // Waits for all of them.
  void Drain();
  // Drops what waits, joins the thread: nothing else may be called afterwards.
  void Stop() { pool_.reset(); }
  // Counted in the order of posting.
  [[nodiscard]] size_t stored() const { return stored_; }
  // Ends it: what is posted later is WAL that the backup does not need.
  [[nodiscard]] std::vector<ManifestEntry> TakeEntries();

 private:
  struct Segment {
    uint64_t slot = 0;
    std::string file_name;
    uint64_t bytes = 0;
  };
  CopyEnvironment* environment_;
  RunLoop* loop_;
  EntryQueue queue_;
  std::deque<Segment> waiting_;
  std::vector<ManifestEntry> entries_;
  size_t stored_ = 0;
  bool is_closed_ = false;
  std::optional<WorkerPool> pool_;  // last: ends before what its tasks use
};

// One segment's first `bytes`, as fast as they can be read, then zeros: what a recycled segment
// holds behind the last record is of no use. Throws Error(kDamaged) when the file is shorter, or is
// not the segment that its name says, before or after it was read: segments are recycled by
// renaming. Not finished when the run is to stop.
void CopyWalSegment(CopyEnvironment* environment, Worker* worker, EntryQueue* queue, uint64_t slot,
                    const std::string& file_name, uint64_t bytes);

}  // namespace backup_ext
