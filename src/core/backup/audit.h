// A fresh full backup looks whether what an incremental one would have believed is true.
//
// Every page that would have been taken over from the parent must have the LSN that the parent's
// page has: a page that nobody changed has the same one. A disagreement means that the chain of
// incremental backups holds a wrong page, which must be impossible. The full backup itself is right
// whatever is found here.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backup/change_proof.h"
#include "backup/pack_table.h"
#include "backup/parent.h"
#include "backup/source_file.h"
#include "base/bytes.h"
#include "store/frame_source.h"

namespace backup_ext {

// What disagrees, of all threads: the first ones by name, all of them by number.
class AuditFindings {
 public:
  void Add(const std::string& path, uint64_t page);
  [[nodiscard]] uint64_t count() const;
  // `3 pages differ: base/5/16384 block 7, ...`. Empty: none.
  [[nodiscard]] std::string Describe() const;

 private:
  mutable std::mutex mutex_;
  uint64_t count_ = 0;
  std::vector<std::string> first_;
};

// What a full backup audits, the same for all threads of a run.
struct AuditSetup {
  const Repository* repository = nullptr;
  const PackTable* packs = nullptr;
  const ClusterFacts* facts = nullptr;
  uint64_t start_lsn = 0;  // of the full backup
  ChangeRules rules;
  AuditFindings* findings = nullptr;
};

// What would have been believed of a main fork, and of what.
struct AuditedFile {
  ParentFile parent;
  uint64_t number = 0;    // tells the files of a run apart: 1, 2, ...
  bool is_whole = false;  // the file would not even have been opened
  PageProof proof;
};
// Once the file is open.
void FillClaim(const AuditSetup& setup, const ScannedEntry& scanned, const ManifestEntry& now,
               AuditedFile* file);

// One thread's. What the parent holds and cannot be read is passed over: that is a verify's to
// find.
class Auditor {
 public:
  explicit Auditor(const AuditSetup& setup);

  // Pages as they were just read, from page `first` of the file on.
  void Check(const AuditedFile& file, const ReadableFile& readable, uint64_t first, ByteSpan pages);

 private:
  [[nodiscard]] bool IsClaimed(const AuditedFile& file, const ReadableFile& readable, uint64_t page,
                               ByteSpan bytes) const;
  [[nodiscard]] std::optional<uint64_t> LsnInParent(const AuditedFile& file, uint64_t page);

  const AuditSetup setup_;
  FrameSource frames_;
  // The run that the last page was found in: pages come in order.
  uint64_t file_ = 0;
  size_t run_ = 0;
  uint64_t run_begin_ = 0;
};

}  // namespace backup_ext
