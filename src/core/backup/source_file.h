// A file of the cluster, open to be copied: its size is fixed from here on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backup/page_reader.h"
#include "backup/scanned_entry.h"
#include "base/file.h"
#include "format/manifest.h"

namespace backup_ext {

struct CopyEnvironment;

class SourceFile {
 public:
  // Takes size, inode and times with one fstat(2) before the first byte is read. Nothing when the
  // file is gone; `*warning` is set when something else than a regular file took its place.
  [[nodiscard]] static std::optional<SourceFile> Open(const CopyEnvironment& environment,
                                                      const ScannedEntry& scanned,
                                                      std::string* warning);

  // map.unit_bytes says whether it is copied in pages: a relation whose size is a multiple of
  // them. All else goes by bytes, with a digest of the content.
  [[nodiscard]] const ManifestEntry& entry() const { return entry_; }
  [[nodiscard]] uint64_t size_bytes() const { return entry_.size_bytes; }
  [[nodiscard]] bool is_in_pages() const { return entry_.map.unit_bytes != 1; }
  [[nodiscard]] ReadableFile readable() const;
  // Somebody has written to it since it was opened.
  [[nodiscard]] bool HasChanged() const;
  // Of one that has holes: where the data at or behind `offset_bytes` begins; its size where none
  // follows.
  [[nodiscard]] uint64_t NextData(uint64_t offset_bytes) const;

 private:
  SourceFile() = default;
  [[nodiscard]] static std::optional<SourceFile> TakeMedia(SourceFile source);

  FileDescriptor file_;
  std::string disk_path_;
  ManifestEntry entry_;
  bool is_relation_ = false;
  uint32_t segment_ = 0;
  uint32_t database_oid_ = 0;
};

}  // namespace backup_ext
