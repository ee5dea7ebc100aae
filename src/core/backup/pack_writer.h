// Compresses frames into packs: the end of the line for one thread's bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backup/pack_table.h"
#include "base/bytes.h"
#include "format/frame.h"
#include "store/repository.h"

namespace backup_ext {

// Opens a pack on first use and commits it when it has reached kPackTargetBytes. Used by one thread
// at a time; destroyed without Close() it leaves nothing of the open pack.
class PackWriter {
 public:
  // `repository` and `packs` must outlive it. `thread`: whose packs these are, part of their names.
  PackWriter(const Repository& repository, PackTable* packs, std::string backup_id, uint32_t thread,
             int compression_level);

  // Stores `plain` (1 to kFramePlainLimitBytes bytes). FrameRef::pack is the pack table's index.
  [[nodiscard]] FrameRef Write(ByteSpan plain);
  // Commits the open pack: what Write() stored is durable afterwards. Without one it does nothing.
  void Close();

 private:
  void Open();
  void Append();

  const Repository& repository_;
  PackTable* packs_;
  std::string backup_id_;
  uint32_t thread_;
  uint32_t next_number_ = 0;
  FrameEncoder encoder_;
  Bytes buffer_;  // not yet given to the store
  std::unique_ptr<ObjectWriter> object_;
  uint32_t pack_ = 0;
};

}  // namespace backup_ext
