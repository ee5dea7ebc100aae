// Copies one file into frames of its own: read, judge, compress, store.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backup/change_proof.h"
#include "backup/copy_environment.h"
#include "backup/entry_queue.h"
#include "backup/parent.h"
#include "backup/scanned_entry.h"
#include "backup/source_file.h"

namespace backup_ext {

// A large file is cut into parts, so that several threads can share it: of this size, or of a
// multiple where there would be too many.
inline constexpr uint64_t kPartBytes = 8ULL * 1024 * 1024;
inline constexpr uint32_t kPartsLimit = 4096;

// Parts of a file of which a parent holds something: what changed of one fills whole frames.
inline constexpr uint64_t kPartBytesWithParent = 8 * kPartBytes;

// Copies a whole file that is open, in one thread. Nothing when the run is to stop.
[[nodiscard]] std::optional<CopiedEntry> CopyWholeFile(CopyEnvironment* environment, Worker* worker,
                                                       const SourceFile& source);

// The same for a file in units of bytes that a parent holds: refers to it when the content is the
// same, by its digest.
[[nodiscard]] std::optional<CopiedEntry> CopyUnlessSame(CopyEnvironment* environment,
                                                        Worker* worker, const SourceFile& source,
                                                        const ParentFile& parent);

// What becomes of a file that cannot be opened any more: nothing, or what the look before saw.
[[nodiscard]] Outcome OutcomeOfGone(const ScannedEntry& scanned, const ParentFile* parent,
                                    std::string warning);
[[nodiscard]] std::string ChangedWhileRead(const MediaPlace& place);

// Sets the bits of PageMap::all_visible for the pages in `buffer`, the first of which is page
// `first_page` of the file.
void AppendVisibility(ByteSpan buffer, uint32_t page_bytes, uint64_t first_page, Bytes* bits);

// One file, shared by the tasks that copy its parts. The first that comes opens it, the last one
// finishes the slot.
class FileInParts {
 public:
  // How many tasks a file is worth, by the size that the scan saw. A file that is not in pages
  // has a digest of its whole content, so one thread must read all of it.
  [[nodiscard]] static uint32_t CountParts(const ScannedEntry& scanned, bool has_parent);

  // `environment` and `queue` must outlive it.
  FileInParts(CopyEnvironment* environment, EntryQueue* queue, uint64_t slot, ScannedEntry scanned,
              std::optional<ParentFile> parent, std::optional<AuditedFile> audited);

  // Once for each part.
  void CopyPart(uint32_t part, Worker* worker);

 private:
  struct Piece {
    PageMap map;
    DamageList damage;
  };
  // The file, the same for all parts; nullptr when it is gone.
  [[nodiscard]] const SourceFile* OpenOnce();
  // False when the run is to stop.
  [[nodiscard]] bool CopyPages(const SourceFile& source, uint32_t part, Worker* worker);
  [[nodiscard]] bool CopyAsOne(const SourceFile& source, Worker* worker);
  void FinishSlot();

  CopyEnvironment* environment_;
  EntryQueue* queue_;
  const uint64_t slot_;
  const ScannedEntry scanned_;
  const std::optional<ParentFile> parent_;
  const uint64_t part_bytes_;

  std::mutex mutex_;  // guards what follows, but not the pieces: each is its own part's
  bool opened_ = false;
  std::optional<SourceFile> source_;
  PageProof proof_;                     // constant once the file is open
  std::optional<AuditedFile> audited_;  // the same
  std::string warning_;
  std::optional<CopiedEntry> whole_;  // of a file that turned out not to be in pages
  uint32_t parts_left_;

  std::vector<Piece> pieces_;
};

}  // namespace backup_ext
