// The packs of a run, its own and those of earlier backups that it refers to, known by the order in
// which they came until the manifest names them.
//
// Any thread may call.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "format/frame.h"
#include "format/names.h"
#include "format/record.h"

namespace backup_ext {

class PackTable {
 public:
  // A pack that the run writes. The index by which this run's frames name it.
  [[nodiscard]] uint32_t Add(const PackId& pack);
  // The pack is committed. A pack never closed is no part of the backup.
  void Close(uint32_t index, uint64_t size_bytes);
  // The index of a pack that was added, the run's own or not.
  [[nodiscard]] std::optional<uint32_t> IndexOf(const PackId& pack) const;
  // A pack of an earlier backup. The same index each time.
  [[nodiscard]] uint32_t AddEarlier(const PackId& pack, uint64_t size_bytes);

  // The backup refers to this frame. Once for each frame.
  void CountUse(const FrameRef& frame);

  // As if none had been counted: another manifest is written.
  void ForgetUse();

  [[nodiscard]] PackId Find(uint32_t index) const;
  // A number for the backup that wrote the pack.
  [[nodiscard]] uint32_t GenerationOf(uint32_t index) const;
  // What the record lists: every pack of which a frame is used. Throws Error(kInternal) when one of
  // them is still open.
  [[nodiscard]] std::vector<PackUse> Used() const;
  // Bytes of all packs that the run wrote, used or not.
  [[nodiscard]] uint64_t WrittenBytes() const;

 private:
  uint32_t AddLocked(const PackUse& use, bool is_earlier);

  mutable std::mutex mutex_;
  std::vector<PackUse> packs_;  // size_bytes 0: open
  std::vector<bool> is_earlier_;
  std::vector<uint32_t> generations_;
  std::map<std::string, uint32_t> generation_numbers_;  // by backup id
  std::map<PackId, uint32_t> indexes_;
};

// Which frames were met before, so that one that several files share is counted once. Files that
// share a frame come soon one after the other: what was met long ago is forgotten, and a frame may
// then be counted twice, which only makes its pack look fuller.
class FramesMet {
 public:
  // True the first time.
  [[nodiscard]] bool Meet(const FrameRef& frame);

 private:
  using Key = std::pair<uint32_t, uint64_t>;
  std::set<Key> recent_;
  std::set<Key> before_;
};

}  // namespace backup_ext
