// A window of slots, taken from its front.
#include "backup/entry_queue.h"

#include <utility>

#include "base/error.h"

namespace backup_ext {
namespace {

uint64_t MemoryOf(const Outcome& outcome) {
  if (!outcome.copied) return 0;
  const PageMap& map = outcome.copied->entry.map;
  return map.frames.capacity() * sizeof(FrameRef) + map.runs.capacity() * sizeof(PageRun) +
         map.all_visible.capacity();
}

}  // namespace

uint64_t EntryQueue::Begin(uint64_t weight_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  slots_.push_back({weight_bytes, 0, std::nullopt});
  weight_bytes_ += weight_bytes;
  return first_ + slots_.size() - 1;
}

void EntryQueue::Finish(uint64_t slot, Outcome outcome) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (slot < first_ || slot - first_ >= slots_.size() || slots_[slot - first_].outcome) {
    throw Error(ErrorCode::kInternal, "an entry of the backup was finished twice");
  }
  Slot& finished = slots_[slot - first_];
  finished.held_bytes = MemoryOf(outcome);
  held_bytes_ += finished.held_bytes;
  finished.outcome = std::move(outcome);
}

std::optional<Outcome> EntryQueue::TakeNext() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (slots_.empty() || !slots_.front().outcome) return std::nullopt;
  return TakeFrontLocked();
}

std::optional<Outcome> EntryQueue::TakeNextFinished() {
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!slots_.empty()) {
    if (std::optional<Outcome> outcome = TakeFrontLocked()) return outcome;
  }
  return std::nullopt;
}

std::optional<Outcome> EntryQueue::TakeFrontLocked() {
  std::optional<Outcome> outcome = std::move(slots_.front().outcome);
  weight_bytes_ -= slots_.front().weight_bytes;
  held_bytes_ -= slots_.front().held_bytes;
  slots_.pop_front();
  ++first_;
  return outcome;
}

size_t EntryQueue::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return slots_.size();
}

uint64_t EntryQueue::held_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return held_bytes_;
}

uint64_t EntryQueue::weight_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return weight_bytes_;
}

}  // namespace backup_ext
