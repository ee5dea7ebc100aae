// Reads frames of packs back, checked: what a restore and a verify stand on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "format/frame.h"
#include "format/pack.h"
#include "store/repository.h"

namespace backup_ext {

// Opens packs on first use and checks their header (right cluster, right pack). One a thread; holds
// a few packs open. The repository must outlive it.
class FrameSource {
 public:
  explicit FrameSource(const Repository& repository);
  ~FrameSource();
  FrameSource(FrameSource&&) noexcept;

  // The plain bytes of a frame, valid until the next call. Throws Error(kDamaged) naming the pack,
  // the offset and the problem; a read that fails the check is done once more before that.
  [[nodiscard]] ByteSpan Read(const FrameRef& frame, const PackId& pack);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
