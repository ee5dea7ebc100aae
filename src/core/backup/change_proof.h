// By what a file, or a page of it, is known to be what a parent holds: the cheapest proof that
// holds (doc/decisions.md, "Which pages changed"). When in doubt, none.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backup/backup_run.h"
#include "backup/parent.h"
#include "backup/scanned_entry.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "cluster/changed_blocks.h"

namespace backup_ext {

// Size, inode, mtime and ctime are those that the parent saw before it read the file, and both
// times lie before that reading by the margin: the file was not written to since.
[[nodiscard]] bool IsUntouched(const ManifestEntry& now, const ManifestEntry& parent,
                               Microseconds margin);
// The same without the margin: for what WAL summaries do not name.
[[nodiscard]] bool HasSameTimes(const ManifestEntry& now, const ManifestEntry& parent);

// How much is believed.
struct ChangeRules {
  Microseconds untouched_margin = kUntouchedMargin;
  const ChangedBlocks* changes = nullptr;  // null: no WAL summaries
};

// What is to be done with a file of pages.
struct PageProof {
  enum class Kind {
    kNone,     // store all of it
    kNamed,    // WAL summaries name what changed
    kPageLsn,  // read all of it; a page's LSN and flag tell
  };
  Kind kind = Kind::kNone;
  // The parent's pages count only up to here: what lies behind was cut off in between.
  uint64_t pages_limit = 0;
  std::vector<uint32_t> named;  // pages of this file (segment), ascending
};

// `now`: as fstat(2) and statx(2) say it of the open file.
// Source of the rules for named blocks: src/backend/backup/basebackup_incremental.c,
// GetFileBackupMethod().
[[nodiscard]] PageProof ChoosePageProof(const ScannedEntry& scanned, const ManifestEntry& now,
                                        const ParentFile& parent, const ClusterFacts& facts,
                                        const ChangeRules& rules);

// Nothing changed in the whole file, known without reading it. `now`: its attributes.
[[nodiscard]] bool IsFileUnchanged(const ScannedEntry& scanned, const ManifestEntry& now,
                                   const ParentFile& parent, const ClusterFacts& facts,
                                   const ChangeRules& rules);
// The same by what lstat(2) said, and nothing of it has to be stored again: it need not be opened.
[[nodiscard]] bool IsWholeFileUnchanged(const ScannedEntry& scanned, const ParentFile& parent,
                                        const ClusterFacts& facts, const ChangeRules& rules);

// True when the page is the one that the parent holds: older than the parent's start, with the
// flag PD_ALL_VISIBLE that it had then (setting it does not change the LSN where hint bits are not
// logged), and sound. `block`: counted through all segments.
[[nodiscard]] bool IsPageOfParent(ByteSpan page, uint32_t block, bool was_all_visible,
                                  const ParentFile& parent, const ClusterFacts& facts);

// A file in units of bytes whose size and digest are the parent's, and none of it has to be stored
// again.
[[nodiscard]] bool HasContentOfParent(const ManifestEntry& now, const ParentFile& parent);

// Bit `page` of PageMap::all_visible.
[[nodiscard]] bool WasAllVisible(const PageMap& map, uint64_t page);

}  // namespace backup_ext
