// Gathers contents until a frame is full, then tells every file its place.
#include "backup/shared_frame.h"

#include <utility>

#include "format/frame.h"

namespace backup_ext {

std::span<std::byte> SharedFrame::Reserve(size_t size_bytes) {
  if (plain_.size() + size_bytes > kFramePlainLimitBytes) Flush();
  const size_t begin = plain_.size();
  if (begin == 0) plain_.reserve(kFramePlainLimitBytes);
  plain_.resize(begin + size_bytes);
  return std::span(plain_).subspan(begin);
}

void SharedFrame::Add(uint64_t slot, CopiedEntry copied, std::string warning) {
  const size_t begin = plain_.size() - copied.entry.size_bytes;
  members_.push_back({slot, std::move(copied), std::move(warning), begin});
}

void SharedFrame::Flush() {
  FrameRef frame;
  if (!plain_.empty()) frame = packs_->Write(plain_);
  plain_.clear();
  for (Member& member : members_) {
    ManifestEntry& entry = member.copied.entry;
    entry.map.unit_bytes = unit_bytes_;
    if (entry.size_bytes > 0) {
      entry.map.frames = {frame};
      entry.map.Append(entry.size_bytes / unit_bytes_, 0,
                       static_cast<uint32_t>(member.begin / unit_bytes_));
    }
    queue_->Finish(member.slot, {std::move(member.copied), std::move(member.warning)});
  }
  members_.clear();
}

}  // namespace backup_ext
