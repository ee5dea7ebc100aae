// What becomes of the pages of one part of a file.
#include "backup/page_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "backup/change_proof.h"
#include "base/error.h"

namespace backup_ext {

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
  if (parent_.uses_dying_pack) {
    for (PagePlace& place : places_) {
      if (!place.is_kept) continue;
      if (IsDying(dying_packs, parent_.entry.map.frames[place.frame])) place.is_kept = false;
    }
  }
  GatherHalfDeadFrames();
  GatherGenerations(generation_of);
}

// A frame that small files shared has pages of others, too: what a grown file has in it is stored
// again once.
void PagePlan::GatherHalfDeadFrames() {
  std::map<uint32_t, uint32_t> live;
  for (const PagePlace& place : places_) {
    if (place.is_kept) ++live[place.frame];
  }
  const PageMap& map = parent_.entry.map;
  for (PagePlace& place : places_) {
    if (!place.is_kept) continue;
    const uint32_t pages = map.frames[place.frame].plain_bytes / map.unit_bytes;
    if (live[place.frame] * 2 < pages) place.is_kept = false;
  }
}

void PagePlan::GatherGenerations(const std::function<uint32_t(uint32_t pack)>& generation_of) {
  std::map<uint32_t, uint32_t> generation_of_frame;
  std::map<uint32_t, uint64_t> pages;
  bool is_stored = false;
  for (const PagePlace& place : places_) {
    is_stored |= !place.is_kept;
    if (!place.is_kept) continue;
    const auto [frame, is_new] = generation_of_frame.try_emplace(place.frame, 0);
    if (is_new) frame->second = generation_of(parent_.entry.map.frames[place.frame].pack);
    ++pages[frame->second];
  }
  if (pages.size() + (is_stored ? 1 : 0) <= kGenerationsLimit) return;
  std::vector<std::pair<uint64_t, uint32_t>> smallest_first;
  for (const auto& [generation, count] : pages) smallest_first.emplace_back(count, generation);
  std::ranges::sort(smallest_first);
  std::set<uint32_t> gathered;
  // One more than there may be, for what is stored makes a generation of its own.
  for (size_t i = 0; i + kGenerationsLimit <= smallest_first.size(); ++i) {
    gathered.insert(smallest_first[i].second);
  }
  for (PagePlace& place : places_) {
    if (place.is_kept && gathered.contains(generation_of_frame[place.frame])) place.is_kept = false;
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
  std::map<std::pair<bool, uint32_t>, uint32_t> frames;
  for (size_t page = 0; page < places_.size(); ++page) {
    const PagePlace& place = places_[page];
    if (!place.is_kept && page >= next_to_place_) {
      throw Error(ErrorCode::kInternal, "a page of the backup was neither kept nor stored");
    }
    const auto [index, is_new] =
        frames.try_emplace({place.is_kept, place.frame}, static_cast<uint32_t>(map.frames.size()));
    if (is_new) {
      map.frames.push_back(place.is_kept ? parent_.entry.map.frames[place.frame]
                                         : stored_frames_[place.frame]);
    }
    map.Append(1, index->second, place.unit);
    if (place.is_kept && WasAllVisible(parent_.entry.map, first_ + page)) {
      map.all_visible[page / 8] |= std::byte{1} << (page % 8);
    }
  }
  return map;
}

}  // namespace backup_ext
