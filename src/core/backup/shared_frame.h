// Lets small files share frames. One thread's, for the time of one task.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backup/entry_queue.h"
#include "backup/pack_writer.h"
#include "base/bytes.h"

namespace backup_ext {

// All its files are in units of the same size, so that each lies at a whole unit.
class SharedFrame {
 public:
  // `packs` and `queue` must outlive it. What was not flushed is never finished.
  SharedFrame(uint32_t unit_bytes, PackWriter* packs, EntryQueue* queue)
      : unit_bytes_(unit_bytes), packs_(packs), queue_(queue) {}

  // Room for the next file's content, 0 to kFramePlainLimitBytes and whole units; flushes first
  // when there is too little. Valid until the next call.
  [[nodiscard]] std::span<std::byte> Reserve(size_t size_bytes);
  // The room reserved last is filled with this entry's content. The slot is finished when the
  // frame is written.
  void Add(uint64_t slot, CopiedEntry copied, std::string warning = {});
  // The room reserved last, of this size, is not wanted after all.
  void GiveBack(size_t size_bytes) { plain_.resize(plain_.size() - size_bytes); }
  void Flush();

 private:
  struct Member {
    uint64_t slot = 0;
    CopiedEntry copied;
    std::string warning;
    size_t begin = 0;
  };
  uint32_t unit_bytes_;
  PackWriter* packs_;
  EntryQueue* queue_;
  Bytes plain_;
  std::vector<Member> members_;
};

}  // namespace backup_ext
