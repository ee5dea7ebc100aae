// What becomes of the pages of one part of a file.
#include "backup/page_plan.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <utility>

#include "backup/change_proof.h"
#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

// Of a frame's pages, in use.
constexpr double kHalf = 0.5;
constexpr double kQuarter = 0.25;
// Of what is allowed. Above it a gathering of many backups is near, and dead frames wait for it.
constexpr double kWaitsAbove = 0.75;

// What a restore holds: a frame of each generation, and a full one of what is stored now.
class InHand {
 public:
  void Add(uint64_t bytes) {
    bytes_ += bytes;
    ++frames_;
  }
  void Remove(uint64_t bytes) {
    bytes_ -= bytes;
    --frames_;
  }
  [[nodiscard]] double PartOfLimit() const {
    return std::max(static_cast<double>(bytes_) / static_cast<double>(kBytesInHandLimit),
                    static_cast<double>(frames_) / static_cast<double>(kGenerationsLimit));
  }

 private:
  uint64_t bytes_ = kFramePlainLimitBytes;
  size_t frames_ = 1;
};

}  // namespace

PagePlan::PagePlan(const ParentFile& parent, uint64_t first, uint64_t count)
    : parent_(parent), first_(first), places_(count) {
  uint64_t page = 0;
  for (const PageRun& run : parent.entry.map.runs) {
    const uint64_t begin = std::max(page, first);
    const uint64_t end = std::min(page + run.units, first + count);
    for (uint64_t at = begin; at < end; ++at) {
      places_[at - first] = {run.frame, static_cast<uint32_t>(run.first_unit + (at - page)), false};
    }
    page += run.units;
    if (page >= first + count) break;
  }
}

void PagePlan::Keep(uint64_t page) {
  if (places_[page].frame != kNowhere) places_[page].is_kept = true;
}

void PagePlan::Gather(const DyingPacks& dying_packs,
                      const std::function<uint32_t(uint32_t pack)>& generation_of) {
  const PageMap& map = parent_.entry.map;
  if (parent_.uses_dying_pack) {
    for (PagePlace& place : places_) {
      if (!place.is_kept) continue;
      if (IsDying(dying_packs, map.frames[place.frame])) place.is_kept = false;
    }
  }
  const std::vector<uint32_t> live = KeptPagesOfFrames();
  InHand in_hand;
  for (const Generation& generation : CountGenerations(live, generation_of)) {
    in_hand.Add(generation.bytes_in_hand);
  }
  const double limit = PartOfLimitAllowed();
  const bool waits = in_hand.PartOfLimit() > limit * kWaitsAbove && in_hand.PartOfLimit() <= limit;
  GatherDeadFrames(live, waits ? kQuarter : kHalf);
  if (in_hand.PartOfLimit() > limit) {
    GatherSmallest(CountGenerations(KeptPagesOfFrames(), generation_of), limit / 2);
  }
}

// From 5/8 to 1.
double PagePlan::PartOfLimitAllowed() const {
  Xxh3Stream hash;
  hash.Update(AsBytes(parent_.entry.path));
  hash.Update(std::as_bytes(std::span(&first_, 1)));
  constexpr double kLowest = 0.625;
  const double fraction = std::to_integer<int>(hash.Finish().front()) / 256.0;
  return kLowest + (1 - kLowest) * fraction;
}

// A frame that small files shared has pages of others, too: what a grown file has in it is stored
// again once.
void PagePlan::GatherDeadFrames(const std::vector<uint32_t>& live, double least_live) {
  const PageMap& map = parent_.entry.map;
  for (PagePlace& place : places_) {
    if (!place.is_kept) continue;
    const uint32_t pages = map.frames[place.frame].plain_bytes / map.unit_bytes;
    if (live[place.frame] < least_live * pages) place.is_kept = false;
  }
}

std::vector<uint32_t> PagePlan::KeptPagesOfFrames() const {
  std::vector<uint32_t> pages(parent_.entry.map.frames.size());
  for (const PagePlace& place : places_) {
    if (place.is_kept) ++pages[place.frame];
  }
  return pages;
}

std::vector<PagePlan::Generation> PagePlan::CountGenerations(
    const std::vector<uint32_t>& live,
    const std::function<uint32_t(uint32_t pack)>& generation_of) const {
  const PageMap& map = parent_.entry.map;
  std::map<uint32_t, Generation> generations;
  for (uint32_t frame = 0; frame < live.size(); ++frame) {
    if (live[frame] == 0) continue;
    Generation& generation = generations[generation_of(map.frames[frame].pack)];
    generation.frames.push_back(frame);
    generation.pages += live[frame];
    generation.bytes_in_hand =
        std::max<uint64_t>(generation.bytes_in_hand, map.frames[frame].plain_bytes);
  }
  std::vector<Generation> all;
  for (auto& [number, generation] : generations) all.push_back(std::move(generation));
  return all;
}

// Several at a time: a single one would come back with the next backup as one of the smallest.
void PagePlan::GatherSmallest(std::vector<Generation> generations, double part_of_limit) {
  std::ranges::sort(generations, {}, &Generation::pages);
  InHand in_hand;
  for (const Generation& generation : generations) in_hand.Add(generation.bytes_in_hand);
  std::vector<bool> is_gathered(parent_.entry.map.frames.size());
  for (const Generation& generation : generations) {
    if (in_hand.PartOfLimit() <= part_of_limit) break;
    in_hand.Remove(generation.bytes_in_hand);
    for (const uint32_t frame : generation.frames) is_gathered[frame] = true;
  }
  for (PagePlace& place : places_) {
    if (place.is_kept && is_gathered[place.frame]) place.is_kept = false;
  }
}

std::vector<uint32_t> PagePlan::PagesToStore() const {
  std::vector<uint32_t> pages;
  for (size_t page = 0; page < places_.size(); ++page) {
    if (!places_[page].is_kept) pages.push_back(static_cast<uint32_t>(page));
  }
  return pages;
}

void PagePlan::Place(const FrameRef& frame, uint64_t pages) {
  const auto index = static_cast<uint32_t>(stored_frames_.size());
  stored_frames_.push_back(frame);
  uint32_t unit = 0;
  for (; unit < pages; ++next_to_place_) {
    PagePlace& place = places_.at(next_to_place_);
    if (place.is_kept) continue;
    place.frame = index;
    place.unit = unit++;
  }
}

PageMap PagePlan::Finish() const {
  PageMap map;
  map.unit_bytes = parent_.entry.map.unit_bytes;
  map.all_visible.resize((places_.size() + 7) / 8);
  // Of each frame of the parent's map and of stored_frames_: its number in this map.
  std::vector<uint32_t> kept(parent_.entry.map.frames.size(), kNowhere);
  std::vector<uint32_t> stored(stored_frames_.size(), kNowhere);
  for (size_t page = 0; page < places_.size(); ++page) {
    const PagePlace& place = places_[page];
    if (!place.is_kept && page >= next_to_place_) {
      throw Error(ErrorCode::kInternal, "a page of the backup was neither kept nor stored");
    }
    uint32_t& number = place.is_kept ? kept[place.frame] : stored[place.frame];
    if (number == kNowhere) {
      number = static_cast<uint32_t>(map.frames.size());
      map.frames.push_back(place.is_kept ? parent_.entry.map.frames[place.frame]
                                         : stored_frames_[place.frame]);
    }
    map.Append(1, number, place.unit);
    if (place.is_kept && WasAllVisible(parent_.entry.map, first_ + page)) {
      map.all_visible[page / 8] |= std::byte{1} << (page % 8);
    }
  }
  return map;
}

}  // namespace backup_ext
