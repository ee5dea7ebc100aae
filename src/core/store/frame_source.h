// Reads frames of packs back, checked: what a restore and a verify stand on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "format/frame.h"
#include "format/pack.h"
#include "format/page_map.h"
#include "store/repository.h"

namespace backup_ext {

// As many as the frames that may be in hand (page_plan.h), each in another pack.
inline constexpr size_t kMostOpenPacks = 288;
// For one of `sources` that are in use at once: together they stay well below the 1,024 open files
// that a process may have by default.
[[nodiscard]] size_t OpenPacksOfOne(int sources);

// Opens packs on first use and checks their header (right cluster, right pack). One a thread; holds
// a few packs open. The repository must outlive it.
class FrameSource {
 public:
  explicit FrameSource(const Repository& repository, size_t open_packs = kMostOpenPacks);
  ~FrameSource();
  FrameSource(FrameSource&&) noexcept;

  // Says which frames come next: Read() for the frame of each run of `map`, in order. A frame that
  // another run will ask for stays in hand until then, so each is decoded once as long as those
  // with runs both behind and ahead are no more than 18 MiB (plain) and 288; a file of a full
  // backup needs 2 MiB.
  void BeginFile(const PageMap& map);
  // The plain bytes of a frame, valid until the next call. Throws Error(kDamaged) naming the pack,
  // the offset and the problem; a read that fails the check is done once more before that. A pack
  // that is missing or not the right one is not looked for again.
  [[nodiscard]] ByteSpan Read(const FrameRef& frame, const PackId& pack);

  // Instead of Read(): the frame of the next run is not needed.
  void Skip();
  // The next Read() is for this run of the file, counted from 0. Never back, but to the run before.
  void SkipTo(uint64_t run);

  // What was decompressed so far, and what is in memory now.
  [[nodiscard]] uint64_t frames_decoded() const;
  [[nodiscard]] uint64_t bytes_decoded() const;
  [[nodiscard]] uint64_t bytes_in_hand() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
