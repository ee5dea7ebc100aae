// Puts entries that threads finish in any order back into the order in which they were begun.
//
// Begin() and TakeNext() belong to the run's main thread, Finish() to any. A slot that is never
// finished holds back all that follow: a run that lost one can never commit.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "backup/damage_list.h"
#include "format/manifest.h"

namespace backup_ext {

// A file that was copied. FrameRef::pack in its map is an index of the run's PackTable.
struct CopiedEntry {
  ManifestEntry entry;
  DamageList damage;
};

// What became of a slot: an entry, or nothing for a file that was gone. `warning` may come with
// both; empty: none.
struct Outcome {
  std::optional<CopiedEntry> copied;
  std::string warning;
};

class EntryQueue {
 public:
  // `weight_bytes`: about how much is to be read, to bound what is under way.
  [[nodiscard]] uint64_t Begin(uint64_t weight_bytes);
  void Finish(uint64_t slot, Outcome outcome);
  // The oldest slot, once it is finished. Nothing while it is not, or when there is none.
  [[nodiscard]] std::optional<Outcome> TakeNext();
  // The same of a run that ended early: slots that were not finished by now never will be.
  [[nodiscard]] std::optional<Outcome> TakeNextFinished();

  // Slots begun and not taken yet, and their weight.
  [[nodiscard]] size_t size() const;
  [[nodiscard]] uint64_t weight_bytes() const;
  // Memory of the page maps of those that are finished.
  [[nodiscard]] uint64_t held_bytes() const;

 private:
  struct Slot {
    uint64_t weight_bytes = 0;
    uint64_t held_bytes = 0;
    std::optional<Outcome> outcome;
  };
  [[nodiscard]] std::optional<Outcome> TakeFrontLocked();

  mutable std::mutex mutex_;
  std::deque<Slot> slots_;
  uint64_t first_ = 0;  // the number of slots_.front()
  uint64_t weight_bytes_ = 0;
  uint64_t held_bytes_ = 0;
};

}  // namespace backup_ext
