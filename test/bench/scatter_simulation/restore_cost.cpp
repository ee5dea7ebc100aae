// Reads a backup back as a restore does.
#include "restore_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "store/frame_source.h"
#include "store/manifest_source.h"

namespace backup_ext {

RestoreCost CompareWithDirectory(const Repository& repository, const BackupRecord& record,
                                 const std::string& data_directory) {
  RestoreCost cost;
  const auto manifest = OpenManifest(repository, record);
  FrameSource frames(repository);
  while (const auto entry = manifest->Next()) {
    if (entry->kind != EntryKind::kFile) continue;
    const Bytes expected = ReadWholeFile(JoinPath(data_directory, entry->path), 1ULL << 32);
    frames.BeginFile(entry->map);
    uint64_t offset = 0;
    bool is_equal = expected.size() == entry->size_bytes;
    for (const PageRun& run : entry->map.runs) {
      const FrameRef& frame = entry->map.frames.at(run.frame);
      const ByteSpan plain = frames.Read(frame, manifest->packs().at(frame.pack));
      cost.most_in_hand_bytes = std::max(cost.most_in_hand_bytes, frames.bytes_in_hand());
      const ByteSpan piece = plain.subspan(size_t{run.first_unit} * entry->map.unit_bytes,
                                           run.units * entry->map.unit_bytes);
      is_equal = is_equal && offset + piece.size() <= expected.size() &&
                 std::ranges::equal(piece, ByteSpan(expected).subspan(offset, piece.size()));
      if (!is_equal) break;
      offset += piece.size();
    }
    if (!is_equal) {
      throw Error(ErrorCode::kDamaged, fmt::format("file \"{}\" of backup {} differs at byte {}",
                                                   entry->path, record.backup_id, offset));
    }
    cost.file_bytes += entry->size_bytes;
  }
  cost.decoded_bytes = frames.bytes_decoded();
  return cost;
}

}  // namespace backup_ext
