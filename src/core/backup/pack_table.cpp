// Keeps the list of a run's packs.
#include "backup/pack_table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "format/pack.h"

namespace backup_ext {
namespace {

constexpr size_t kFramesRemembered = 64 * 1024;

}  // namespace

uint32_t PackTable::AddLocked(const PackUse& use, bool is_earlier) {
  packs_.push_back(use);
  is_earlier_.push_back(is_earlier);
  const auto number = static_cast<uint32_t>(generation_numbers_.size());
  generations_.push_back(generation_numbers_.try_emplace(use.pack.backup_id, number).first->second);
  return static_cast<uint32_t>(packs_.size() - 1);
}

uint32_t PackTable::Add(const PackId& pack) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t index = AddLocked({pack, 0, 0}, false);
  indexes_[pack] = index;
  return index;
}

void PackTable::Close(uint32_t index, uint64_t size_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  packs_.at(index).size_bytes = size_bytes;
}

uint32_t PackTable::AddEarlier(const PackId& pack, uint64_t size_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto [place, is_new] = indexes_.try_emplace(pack, static_cast<uint32_t>(packs_.size()));
  if (is_new) AddLocked({pack, 0, size_bytes}, true);
  return place->second;
}

std::optional<uint32_t> PackTable::IndexOf(const PackId& pack) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = indexes_.find(pack);
  return found == indexes_.end() ? std::nullopt : std::optional(found->second);
}

void PackTable::CountUse(const FrameRef& frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  packs_.at(frame.pack).used_bytes += frame.stored_bytes;
}

void PackTable::ForgetUse() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (PackUse& use : packs_) use.used_bytes = 0;
}

PackId PackTable::Find(uint32_t index) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return packs_.at(index).pack;
}

uint32_t PackTable::GenerationOf(uint32_t index) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return generations_.at(index);
}

std::vector<PackUse> PackTable::Used() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<PackUse> used;
  for (const PackUse& use : packs_) {
    if (use.used_bytes == 0) continue;
    if (use.size_bytes == 0) {
      throw Error(ErrorCode::kInternal, "a pack of the backup is still open");
    }
    used.push_back(use);
    used.back().used_bytes = std::min(use.used_bytes, use.size_bytes - kPackHeaderBytes);
  }
  return used;
}

uint64_t PackTable::WrittenBytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  uint64_t bytes = 0;
  for (size_t i = 0; i < packs_.size(); ++i) {
    if (!is_earlier_[i]) bytes += packs_[i].size_bytes;
  }
  return bytes;
}

bool FramesMet::Meet(const FrameRef& frame) {
  const Key key{frame.pack, frame.offset_bytes};
  if (recent_.contains(key) || before_.contains(key)) return false;
  if (recent_.size() >= kFramesRemembered) {
    before_ = std::move(recent_);
    recent_.clear();
  }
  recent_.insert(key);
  return true;
}

}  // namespace backup_ext
