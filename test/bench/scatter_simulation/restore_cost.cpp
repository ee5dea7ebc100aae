// Walks the page maps of a backup as a restore does.
#include "restore_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "store/frame_source.h"
#include "store/manifest_source.h"

namespace backup_ext {

RestoreCost MeasureRestore(const Repository& repository, const BackupRecord& record) {
  RestoreCost cost;
  const auto manifest = OpenManifest(repository, record);
  while (const auto entry = manifest->Next()) {
    const PageMap& map = entry->map;
    std::vector<size_t> last_run(map.frames.size());
    for (size_t run = 0; run < map.runs.size(); ++run) last_run.at(map.runs[run].frame) = run;
    std::set<uint32_t> in_hand;
    uint64_t bytes = 0;
    for (size_t run = 0; run < map.runs.size(); ++run) {
      const uint32_t frame = map.runs[run].frame;
      if (in_hand.insert(frame).second) bytes += map.frames[frame].plain_bytes;
      cost.most_in_hand_bytes = std::max(cost.most_in_hand_bytes, bytes);
      if (last_run[frame] != run) continue;
      in_hand.erase(frame);
      bytes -= map.frames[frame].plain_bytes;
    }
    for (const FrameRef& frame : map.frames) cost.decoded_bytes += frame.plain_bytes;
    cost.file_bytes += entry->size_bytes;
  }
  return cost;
}

void CompareWithDirectory(const Repository& repository, const BackupRecord& record,
                          const std::string& data_directory) {
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
  }
}

}  // namespace backup_ext
