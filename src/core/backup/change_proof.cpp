// By what a file, or a page of it, is known to be what a parent holds.
#include "backup/change_proof.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/file.h"
#include "cluster/page.h"

namespace backup_ext {
namespace {

constexpr int64_t kNanosecondsPerMicrosecond = 1000;
constexpr uint64_t kMostNamedPercent = 90;
// More than a tick, by which the kernel tells when an inode was made. No write waits with it.
constexpr Microseconds kBirthMargin = kMicrosecondsPerSecond;

// The tablespace of a relation file's directory: `base/5`, `global`, `pg_tblspc/16400/PG_x/5`.
uint32_t TablespaceOid(std::string_view path) {
  constexpr std::string_view kPrefix = "pg_tblspc/";
  if (path.starts_with("global/")) return kGlobalTablespaceOid;
  if (!path.starts_with(kPrefix)) return kDefaultTablespaceOid;
  uint32_t oid = 0;
  std::from_chars(path.data() + kPrefix.size(), path.data() + path.size(), oid);
  return oid;
}

RelationFork ForkOf(const ScannedEntry& scanned) {
  return {TablespaceOid(scanned.entry.path), scanned.database_oid, scanned.relation->number,
          kMainForkNumber};
}

bool IsMainFork(const ScannedEntry& scanned) {
  return scanned.relation && scanned.relation->fork == Fork::kMain;
}

// Another file under the same name may have the same inode number: only its birth tells. One that
// was made shortly before it was read may have been made anew in the same tick of the kernel.
bool IsSameInode(const ManifestEntry& now, const ManifestEntry& parent, Microseconds margin) {
  return now.inode == parent.inode && now.inode != 0 && now.birth_ns == parent.birth_ns &&
         now.birth_ns != 0 && now.birth_ns < (parent.read_at - margin) * kNanosecondsPerMicrosecond;
}

PageProof NamedProof(const ForkChanges& changes, const ScannedEntry& scanned, uint64_t now_pages,
                     uint64_t parent_pages, const ClusterFacts& facts) {
  const uint64_t first = uint64_t{scanned.relation->segment} * facts.segment_blocks;
  if (changes.limit_block <= first) return {};
  PageProof proof{PageProof::Kind::kNamed, std::min(parent_pages, changes.limit_block - first), {}};
  const auto begin = std::ranges::lower_bound(changes.blocks, first);
  for (auto block = begin; block != changes.blocks.end() && *block - first < now_pages; ++block) {
    proof.named.push_back(static_cast<uint32_t>(*block - first));
  }
  if (proof.named.size() * 100 > now_pages * kMostNamedPercent) return {};
  return proof;
}

}  // namespace

bool HasSameTimes(const ManifestEntry& now, const ManifestEntry& parent) {
  return now.size_bytes == parent.size_bytes && now.inode == parent.inode && now.inode != 0 &&
         now.mtime_ns == parent.mtime_ns && now.ctime_ns == parent.ctime_ns;
}

bool IsUntouched(const ManifestEntry& now, const ManifestEntry& parent, Microseconds margin) {
  if (!HasSameTimes(now, parent)) return false;
  const int64_t limit_ns = (parent.read_at - margin) * kNanosecondsPerMicrosecond;
  return now.mtime_ns < limit_ns && now.ctime_ns < limit_ns;
}

bool IsFileUnchanged(const ScannedEntry& scanned, const ManifestEntry& now,
                     const ParentFile& parent, const ClusterFacts& facts,
                     const ChangeRules& rules) {
  const ChangedBlocks* changes = rules.changes;
  if (scanned.is_relation_map || scanned.follows_link) return false;
  // A sign that the parent was made by other rules than this scan.
  if (scanned.entry.file_kind != parent.entry.file_kind) return false;
  if (changes == nullptr || !IsMainFork(scanned)) {
    return IsUntouched(now, parent.entry, rules.untouched_margin);
  }
  // Both must agree: a file that a summary names is looked at, whatever its times are.
  const RelationFork fork = ForkOf(scanned);
  if (changes->IsDatabaseNew(fork.tablespace_oid, fork.database_oid)) return false;
  if (const ForkChanges* named = changes->Find(fork)) {
    const uint64_t first = uint64_t{scanned.relation->segment} * facts.segment_blocks;
    if (named->limit_block != ForkChanges::kNoLimit) return false;
    const auto begin = std::ranges::lower_bound(named->blocks, first);
    if (begin != named->blocks.end() && *begin - first < facts.segment_blocks) return false;
  }
  return HasSameTimes(now, parent.entry);
}

bool IsWholeFileUnchanged(const ScannedEntry& scanned, const ParentFile& parent,
                          const ClusterFacts& facts, const ChangeRules& rules) {
  return !parent.uses_dying_pack && IsFileUnchanged(scanned, scanned.entry, parent, facts, rules);
}

PageProof ChoosePageProof(const ScannedEntry& scanned, const ManifestEntry& now,
                          const ParentFile& parent, const ClusterFacts& facts,
                          const ChangeRules& rules) {
  const ChangedBlocks* changes = rules.changes;
  const uint64_t page_bytes = facts.block_bytes;
  if (!IsMainFork(scanned) || parent.entry.file_kind != FileKind::kRelation ||
      parent.entry.map.unit_bytes != page_bytes) {
    return {};
  }
  const uint64_t now_pages = now.size_bytes / page_bytes;
  const uint64_t parent_pages = parent.entry.size_bytes / page_bytes;
  if (parent_pages == 0 || now_pages > facts.segment_blocks) return {};
  PageProof by_lsn;
  if (IsSameInode(now, parent.entry, std::min(rules.untouched_margin, kBirthMargin))) {
    by_lsn = {PageProof::Kind::kPageLsn, parent_pages, {}};
  }
  if (changes == nullptr) return by_lsn;
  const RelationFork fork = ForkOf(scanned);
  if (changes->IsDatabaseNew(fork.tablespace_oid, fork.database_oid)) return {};
  if (const ForkChanges* named = changes->Find(fork)) {
    PageProof proof = NamedProof(*named, scanned, now_pages, parent_pages, facts);
    // Written to, though no block of this segment is named: looked at.
    const bool is_doubtful = proof.kind == PageProof::Kind::kNamed && proof.named.empty() &&
                             proof.pages_limit == parent_pages && !HasSameTimes(now, parent.entry);
    return is_doubtful ? by_lsn : proof;
  }
  if (HasSameTimes(now, parent.entry)) return {PageProof::Kind::kNamed, parent_pages, {}};
  return by_lsn;
}

bool IsPageOfParent(ByteSpan page, uint32_t block, bool was_all_visible, const ParentFile& parent,
                    const ClusterFacts& facts) {
  const PageView view(page);
  if (view.is_new() || view.lsn() == 0 || view.lsn() >= parent.start_lsn) return false;
  if (view.all_visible() != was_all_visible) return false;
  // An LSN can be believed only of a page that is sound.
  return !facts.data_checksums || view.checksum() == PageChecksum(page, block);
}

bool HasContentOfParent(const ManifestEntry& now, const ParentFile& parent) {
  const ManifestEntry& before = parent.entry;
  return !parent.uses_dying_pack && before.map.unit_bytes == 1 &&
         before.size_bytes == now.size_bytes && before.content == now.content;
}

bool WasAllVisible(const PageMap& map, uint64_t page) {
  if (page / 8 >= map.all_visible.size()) return false;
  return (map.all_visible[page / 8] >> (page % 8) & std::byte{1}) != std::byte{0};
}

}  // namespace backup_ext
