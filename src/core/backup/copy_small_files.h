// Copies a batch of small files into frames that they share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backup/copy_environment.h"
#include "backup/entry_queue.h"
#include "backup/parent.h"
#include "backup/scanned_entry.h"
#include "base/bytes.h"

namespace backup_ext {

// Files below this size share frames.
inline constexpr uint64_t kSmallFileBytes = 64 * 1024;

struct SmallFile {
  uint64_t slot = 0;
  ScannedEntry scanned;
  std::shared_ptr<const ParentFile> parent;  // null: none holds it
  std::shared_ptr<AuditedFile> audited;      // null: nothing to compare
  std::optional<Bytes> content;              // read already, or supplied: any size
};

// All or nothing: a small file that changed is stored whole.
//
// Finishes the slot of every file, gone ones too, unless the run is to stop. A file that grew since
// the scan gets frames of its own.
void CopySmallFiles(CopyEnvironment* environment, Worker* worker, EntryQueue* queue,
                    const std::vector<SmallFile>& files);

}  // namespace backup_ext
