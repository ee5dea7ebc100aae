// What becomes of the pages of one part of a file: taken over from a parent, or stored. Plain
// values; no input or output.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "backup/parent.h"
#include "format/frame.h"
#include "format/page_map.h"

namespace backup_ext {

// A restore keeps one frame of each backup in hand that a part's pages come from: so many bytes of
// them at most, plain, and so many frames.
inline constexpr uint64_t kBytesInHandLimit = 64 * kFramePlainLimitBytes;
inline constexpr size_t kGenerationsLimit = 256;

class PagePlan {
 public:
  // Pages `first` to `first + count - 1` of the file; at first all are to be stored. `parent` must
  // outlive it.
  PagePlan(const ParentFile& parent, uint64_t first, uint64_t count);

  [[nodiscard]] uint64_t first() const { return first_; }
  [[nodiscard]] uint64_t count() const { return places_.size(); }
  // `page` is counted in the part. Keep() does nothing for a page that the parent does not have.
  void Keep(uint64_t page);
  void Store(uint64_t page) { places_[page].is_kept = false; }
  [[nodiscard]] bool is_kept(uint64_t page) const { return places_[page].is_kept; }

  // Marks pages that would be kept, but are better stored again together with what changed:
  // - pages in packs that are to die out,
  // - the live pages of a frame that has fewer than half of its pages still in use,
  // - when they come from too many backups, those of the backups with the fewest pages here, until
  //   half of what is allowed is left. Where that is near, a dead frame waits for it, until less
  //   than a quarter is in use. `generation_of` gives a number to the backup that wrote a pack.
  // What is allowed differs from part to part, so that they are not all gathered at once.
  void Gather(const DyingPacks& dying_packs,
              const std::function<uint32_t(uint32_t pack)>& generation_of);

  // Pages to be stored, ascending.
  [[nodiscard]] std::vector<uint32_t> PagesToStore() const;
  // The pages from PagesToStore() that follow the ones placed before now lie in `frame`, in order.
  void Place(const FrameRef& frame, uint64_t pages);
  // Map of the part, with the frames of both kinds in the order of their use. Bits of all_visible:
  // the parent's for pages that were kept, clear for those that were stored.
  [[nodiscard]] PageMap Finish() const;

 private:
  static constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();
  struct PagePlace {
    uint32_t frame = kNowhere;  // of the parent's map, or of stored_frames_
    uint32_t unit = 0;
    bool is_kept = false;
  };
  // One backup's share in the part.
  struct Generation {
    std::vector<uint32_t> frames;  // of the parent's map
    uint64_t pages = 0;
    uint64_t bytes_in_hand = 0;  // its largest frame
  };
  // By the frame of the parent's map.
  [[nodiscard]] std::vector<uint32_t> KeptPagesOfFrames() const;
  // `live` here and below: KeptPagesOfFrames().
  [[nodiscard]] std::vector<Generation> CountGenerations(
      const std::vector<uint32_t>& live,
      const std::function<uint32_t(uint32_t pack)>& generation_of) const;
  [[nodiscard]] double PartOfLimitAllowed() const;
  void GatherDeadFrames(const std::vector<uint32_t>& live, double least_live);
  void GatherSmallest(std::vector<Generation> generations, double part_of_limit);

  const ParentFile& parent_;
  const uint64_t first_;
  std::vector<PagePlace> places_;
  std::vector<FrameRef> stored_frames_;
  uint64_t next_to_place_ = 0;
};

}  // namespace backup_ext
