// What proves that a file or a page is what the parent holds: each proof, and each way to lack it.
#include "backup/change_proof.h"

#include "backup_test_support.h"
#include "cluster/page.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Microseconds kReadAt = 1'000'000'000'000'000;
constexpr int64_t kReadAtNs = kReadAt * 1000;
constexpr Microseconds kMargin = 10 * kMicrosecondsPerSecond;
constexpr int64_t kMarginNs = kMargin * 1000;

ManifestEntry EntryOfTest() {
  ManifestEntry entry;
  entry.file_kind = FileKind::kRelation;
  entry.path = "base/5/16384";
  entry.size_bytes = 100 * kTestPageBytes;
  entry.inode = 1001;
  entry.mtime_ns = entry.ctime_ns = kReadAtNs - kMarginNs - 1;
  entry.birth_ns = 77;
  entry.read_at = kReadAt;
  entry.map.unit_bytes = kTestPageBytes;
  return entry;
}

class ChangeProofTest : public testing::Test {
 protected:
  ChangeProofTest() {
    parent.entry = scanned.entry = now = EntryOfTest();
    parent.start_lsn = 0x5000;
    scanned.relation = RelationFileName{16384};
    scanned.database_oid = 5;
    facts.segment_blocks = 128;
    facts.data_checksums = true;
  }
  bool IsUnchanged(Microseconds margin = kMargin, const ChangedBlocks* changes = nullptr) const {
    return IsWholeFileUnchanged(scanned, parent, facts, {margin, changes});
  }
  PageProof Proof(const ChangedBlocks* changes = nullptr) const {
    return ChoosePageProof(scanned, now, parent, facts, {kMargin, changes});
  }

  const RelationFork fork{kDefaultTablespaceOid, 5, 16384, kMainForkNumber};
  ScannedEntry scanned;
  ManifestEntry now;
  ParentFile parent;
  ClusterFacts facts;
};

TEST_F(ChangeProofTest, TakesAFileForUntouchedOnlyWhenAllAgrees) {
  struct Row {
    const char* name;
    std::function<void()> change;
    bool is_unchanged;
  };
  const Row rows[] = {
      {"alike", [&] {}, true},
      {"size", [&] { scanned.entry.size_bytes += 1; }, false},
      {"inode", [&] { scanned.entry.inode += 1; }, false},
      {"no inode", [&] { scanned.entry.inode = parent.entry.inode = 0; }, false},
      {"mtime", [&] { scanned.entry.mtime_ns -= 1; }, false},
      {"ctime", [&] { scanned.entry.ctime_ns -= 1; }, false},
      {"mtime in the margin",
       [&] { scanned.entry.mtime_ns = parent.entry.mtime_ns = kReadAtNs - kMarginNs; }, false},
      {"ctime in the margin",
       [&] { scanned.entry.ctime_ns = parent.entry.ctime_ns = kReadAtNs - kMarginNs; }, false},
      {"another kind", [&] { parent.entry.file_kind = FileKind::kOther; }, false},
      {"a dying pack", [&] { parent.uses_dying_pack = true; }, false},
      {"a link", [&] { scanned.follows_link = true; }, false},
      {"a relation map", [&] { scanned.is_relation_map = true; }, false},
      {"a visibility map",
       [&] {
         scanned.relation->fork = Fork::kVisibilityMap;
         scanned.entry.file_kind = parent.entry.file_kind = FileKind::kVisibilityMap;
       },
       true},
  };
  for (const Row& row : rows) {
    ScannedEntry before = scanned;
    ParentFile parent_before = parent;
    row.change();
    EXPECT_EQ(IsUnchanged(), row.is_unchanged) << row.name;
    scanned = before;
    parent = parent_before;
  }
}

TEST_F(ChangeProofTest, WantsSummariesAndTimesToAgree) {
  ChangedBlocks nothing;
  nothing.Seal();
  // Summaries make up for the margin, but for nothing else.
  scanned.entry.mtime_ns = parent.entry.mtime_ns = kReadAtNs;
  EXPECT_FALSE(IsUnchanged());
  EXPECT_TRUE(IsUnchanged(kMargin, &nothing));
  scanned.entry.mtime_ns += 1;
  EXPECT_FALSE(IsUnchanged(kMargin, &nothing));
  scanned.entry.mtime_ns -= 1;
  // A map of another fork is in no summary that can be relied on.
  scanned.relation->fork = Fork::kVisibilityMap;
  scanned.entry.file_kind = parent.entry.file_kind = FileKind::kVisibilityMap;
  EXPECT_FALSE(IsUnchanged(kMargin, &nothing));
}

TEST_F(ChangeProofTest, LooksAtEveryFileThatASummaryNames) {
  struct Row {
    const char* name;
    std::function<void(ChangedBlocks*)> change;
    bool is_unchanged;
  };
  const Row rows[] = {
      {"nothing", [](auto*) {}, true},
      {"a block", [&](auto* changes) { changes->Add(fork, std::vector<uint32_t>{128}); }, false},
      {"the last block", [&](auto* changes) { changes->Add(fork, std::vector<uint32_t>{255}); },
       false},
      {"blocks of other segments",
       [&](auto* changes) {
         changes->Add(fork, std::vector<uint32_t>{0, 127, 256});
       },
       true},
      {"a limit", [&](auto* changes) { changes->Limit(fork, 1000); }, false},
      {"the database",
       [&](auto* changes) {
         changes->Limit({kDefaultTablespaceOid, 5, 0, kMainForkNumber}, 0);
       },
       false},
      {"another database",
       [&](auto* changes) {
         changes->Limit({16399, 5, 0, kMainForkNumber}, 0);
       },
       true},
  };
  scanned.relation->segment = 1;
  for (const Row& row : rows) {
    ChangedBlocks changes;
    row.change(&changes);
    changes.Seal();
    EXPECT_EQ(IsUnchanged(kMargin, &changes), row.is_unchanged) << row.name;
  }
}

TEST_F(ChangeProofTest, KnowsTheTablespaceByThePath) {
  struct Row {
    const char* path;
    uint32_t tablespace;
    uint32_t database;
  };
  for (const Row& row :
       {Row{"base/5/16384", kDefaultTablespaceOid, 5}, Row{"global/16384", kGlobalTablespaceOid, 0},
        Row{"pg_tblspc/16399/PG_15_202209061/5/16384", 16399, 5}}) {
    scanned.entry.path = row.path;
    scanned.database_oid = row.database;
    ChangedBlocks changes;
    changes.Limit({row.tablespace, row.database, 16384, kMainForkNumber}, 0);
    changes.Seal();
    EXPECT_FALSE(IsUnchanged(kMargin, &changes)) << row.path;
  }
}

TEST_F(ChangeProofTest, ReadsPagesOfTheSameInodeOnly) {
  EXPECT_EQ(Proof().kind, PageProof::Kind::kPageLsn);
  EXPECT_EQ(Proof().pages_limit, 100U);
  struct Row {
    const char* name;
    std::function<void()> change;
  };
  const Row rows[] = {
      {"inode", [&] { now.inode += 1; }},
      {"no inode", [&] { now.inode = parent.entry.inode = 0; }},
      {"birth", [&] { now.birth_ns += 1; }},
      {"no birth", [&] { now.birth_ns = parent.entry.birth_ns = 0; }},
      {"born in the margin",
       [&] { now.birth_ns = parent.entry.birth_ns = kReadAtNs - 1'000'000'000; }},
      {"empty parent", [&] { parent.entry.size_bytes = 0; }},
      {"parent in bytes", [&] { parent.entry.map.unit_bytes = 1; }},
      {"longer than a segment", [&] { now.size_bytes = 129 * kTestPageBytes; }},
      {"a map", [&] { scanned.relation->fork = Fork::kFreeSpaceMap; }},
      {"no relation", [&] { scanned.relation.reset(); }},
      {"parent of another kind", [&] { parent.entry.file_kind = FileKind::kVisibilityMap; }},
  };
  ChangedBlocks nothing;
  nothing.Seal();
  for (const Row& row : rows) {
    const auto before = std::make_tuple(scanned, now, parent);
    row.change();
    // Whoever wrote it did not leave its times.
    now.mtime_ns += 1;
    EXPECT_EQ(Proof().kind, PageProof::Kind::kNone) << row.name;
    EXPECT_EQ(Proof(&nothing).kind, PageProof::Kind::kNone) << row.name;
    std::tie(scanned, now, parent) = before;
  }
}

TEST_F(ChangeProofTest, TakesNamedBlocksOfItsSegment) {
  scanned.relation->segment = 1;
  now.mtime_ns += 1;
  ChangedBlocks changes;
  changes.Add(fork, std::vector<uint32_t>{0, 127, 128, 130, 227, 228, 255, 256});
  changes.Seal();
  const PageProof proof = Proof(&changes);
  EXPECT_EQ(proof.kind, PageProof::Kind::kNamed);
  // 228 and 255 lie behind the end.
  EXPECT_THAT(proof.named, ElementsAre(0, 2, 99));
  EXPECT_EQ(proof.pages_limit, 100U);
}

TEST_F(ChangeProofTest, FollowsTheLimit) {
  struct Row {
    uint32_t limit;
    PageProof::Kind kind;
    uint64_t pages_limit;
  };
  scanned.relation->segment = 1;
  for (const Row& row :
       {Row{0, PageProof::Kind::kNone, 0}, Row{128, PageProof::Kind::kNone, 0},
        Row{129, PageProof::Kind::kNamed, 1}, Row{227, PageProof::Kind::kNamed, 99},
        Row{228, PageProof::Kind::kNamed, 100}, Row{1000, PageProof::Kind::kNamed, 100}}) {
    ChangedBlocks changes;
    changes.Limit(fork, row.limit);
    changes.Seal();
    EXPECT_EQ(Proof(&changes).kind, row.kind) << row.limit;
    EXPECT_EQ(Proof(&changes).pages_limit, row.pages_limit) << row.limit;
  }
}

TEST_F(ChangeProofTest, StoresAllWhenMostIsNamed) {
  ChangedBlocks changes;
  std::vector<uint32_t> blocks;
  for (uint32_t block = 0; block < 90; ++block) blocks.push_back(block);
  changes.Add(fork, blocks);
  changes.Seal();
  EXPECT_EQ(Proof(&changes).kind, PageProof::Kind::kNamed);
  changes.Add(fork, std::vector<uint32_t>{90});
  changes.Seal();
  EXPECT_EQ(Proof(&changes).kind, PageProof::Kind::kNone);
}

TEST_F(ChangeProofTest, DoubtsSummariesOfAFileThatWasWrittenTo) {
  ChangedBlocks nothing;
  nothing.Seal();
  EXPECT_EQ(Proof(&nothing).kind, PageProof::Kind::kNamed);
  ChangedBlocks elsewhere;
  elsewhere.Add(fork, std::vector<uint32_t>{500});
  elsewhere.Seal();
  EXPECT_EQ(Proof(&elsewhere).kind, PageProof::Kind::kNamed);
  now.mtime_ns += 1;
  EXPECT_EQ(Proof(&nothing).kind, PageProof::Kind::kPageLsn);
  EXPECT_EQ(Proof(&elsewhere).kind, PageProof::Kind::kPageLsn);
  ChangedBlocks database;
  database.Limit({kDefaultTablespaceOid, 5, 0, kMainForkNumber}, 0);
  database.Seal();
  EXPECT_EQ(Proof(&database).kind, PageProof::Kind::kNone);
}

TEST_F(ChangeProofTest, KnowsAPageOfTheParent) {
  struct Row {
    const char* name;
    uint64_t lsn;
    bool was_visible;
    bool expected;
  };
  // MakePage sets the flag of block 3.
  for (const Row& row : {Row{"older", 0x4fff, true, true}, Row{"at the start", 0x5000, true, false},
                         Row{"newer", 0x5001, true, false}, Row{"no LSN", 0, true, false},
                         Row{"of a lost future", UINT64_MAX, true, false},
                         Row{"older, other flag", 0x4fff, false, false}}) {
    EXPECT_EQ(IsPageOfParent(MakePage(3, row.lsn, 1), 3, row.was_visible, parent, facts),
              row.expected)
        << row.name;
  }
  EXPECT_TRUE(IsPageOfParent(MakePage(4, 0x4fff, 1), 4, false, parent, facts));
  EXPECT_FALSE(IsPageOfParent(MakePage(4, 0x4fff, 1), 4, true, parent, facts));
  EXPECT_FALSE(IsPageOfParent(Bytes(kTestPageBytes), 3, false, parent, facts)) << "new";
  EXPECT_FALSE(IsPageOfParent(MakePage(3, 0x4fff, 1), 2, true, parent, facts)) << "misplaced";
  Bytes damaged = MakePage(3, 0x4fff, 1);
  damaged[5000] ^= std::byte{1};
  EXPECT_FALSE(IsPageOfParent(damaged, 3, true, parent, facts)) << "unsound";
  facts.data_checksums = false;
  EXPECT_TRUE(IsPageOfParent(damaged, 3, true, parent, facts)) << "nothing tells";
}

TEST(WasAllVisible, IsOneBitAPage) {
  PageMap map;
  map.all_visible = {std::byte{0x81}, std::byte{0x02}};
  std::vector<uint64_t> visible;
  for (uint64_t page = 0; page < 40; ++page) {
    if (WasAllVisible(map, page)) visible.push_back(page);
  }
  EXPECT_THAT(visible, ElementsAre(0, 7, 9));
  EXPECT_FALSE(WasAllVisible(PageMap(), 0));
}

}  // namespace
}  // namespace backup_ext
