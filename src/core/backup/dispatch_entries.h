// Hands entries to the threads in the order of the manifest, and takes what they finish in that
// order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "backup/copy_environment.h"
#include "backup/copy_small_files.h"
#include "backup/entry_queue.h"
#include "backup/parent.h"
#include "backup/run_loop.h"

namespace backup_ext {

// Main thread. Its tasks use `environment` and `queue` only: an exception may leave the dispatcher
// while they run.
class EntryDispatcher {
 public:
  using Sink = std::function<void(Outcome)>;
  // All must outlive it, `environment` and `queue` the loop's threads too. `sink` is given every
  // outcome, in order, from inside of the calls below.
  EntryDispatcher(CopyEnvironment* environment, EntryQueue* queue, RunLoop* loop, Sink sink)
      : environment_(environment), queue_(queue), loop_(loop), sink_(std::move(sink)) {}

  // Before the next entry: bounds what is under way, for finished ones wait for the oldest.
  void MakeRoom();
  // What needs no thread: a directory, a link.
  void AddFinished(ManifestEntry entry);
  // A file that is known to be what the parent holds, not even opened.
  void AddUnchanged(const ScannedEntry& scanned, ParentFile parent);
  // A file to be copied. `content`: read already.
  void AddFile(ScannedEntry scanned, std::optional<ParentFile> parent,
               std::optional<AuditedFile> audited, std::optional<Bytes> content);
  // Gives the sink what is finished by now.
  void TakeFinished();
  // Waits for everything that was added.
  void Drain();

 private:
  void AddToBatch(SmallFile file);
  void PostBatch();

  CopyEnvironment* environment_;
  EntryQueue* queue_;
  RunLoop* loop_;
  Sink sink_;
  std::vector<SmallFile> batch_;
  uint64_t batch_bytes_ = 0;
};

}  // namespace backup_ext
