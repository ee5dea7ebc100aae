// What several WAL summaries say together.
#include "cluster/changed_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backup_ext {
namespace {

using testing::ElementsAre;

constexpr RelationFork kFork{kDefaultTablespaceOid, 5, 16384, kMainForkNumber};

TEST(ChangedBlocks, KnowNothingAtFirst) {
  ChangedBlocks changes;
  changes.Seal();
  EXPECT_EQ(changes.Find(kFork), nullptr);
  EXPECT_FALSE(changes.IsDatabaseNew(kDefaultTablespaceOid, 5));
  EXPECT_EQ(changes.size(), 0U);
}

TEST(ChangedBlocks, AddUpInOrderWithoutDoubles) {
  ChangedBlocks changes;
  changes.Add(kFork, std::vector<uint32_t>{9, 3, 7});
  changes.Add(kFork, std::vector<uint32_t>{});
  changes.Add(kFork, std::vector<uint32_t>{4294967294, 3, 0});
  changes.Seal();
  ASSERT_NE(changes.Find(kFork), nullptr);
  EXPECT_THAT(changes.Find(kFork)->blocks, ElementsAre(0, 3, 7, 9, 4294967294));
  EXPECT_EQ(changes.Find(kFork)->limit_block, ForkChanges::kNoLimit);
}

TEST(ChangedBlocks, HoldHotBlocksOnceHoweverOftenTheyAreNamed) {
  ChangedBlocks changes;
  std::vector<uint32_t> hot(1000);
  for (uint32_t i = 0; i < hot.size(); ++i) hot[i] = 7 * i;
  for (int summary = 0; summary < 1000; ++summary) changes.Add(kFork, hot);
  EXPECT_LT(changes.Find(kFork)->blocks.size(), 10'000U);
  changes.Seal();
  EXPECT_EQ(changes.Find(kFork)->blocks, hot);
}

TEST(ChangedBlocks, KeepTheLeastLimit) {
  ChangedBlocks changes;
  for (const uint32_t limit : {ForkChanges::kNoLimit, 12U, 5U, 30U, ForkChanges::kNoLimit}) {
    changes.Limit(kFork, limit);
  }
  changes.Seal();
  ASSERT_NE(changes.Find(kFork), nullptr);
  EXPECT_EQ(changes.Find(kFork)->limit_block, 5U);
}

TEST(ChangedBlocks, TellForksApart) {
  const RelationFork others[] = {{kGlobalTablespaceOid, 5, 16384, kMainForkNumber},
                                 {kDefaultTablespaceOid, 6, 16384, kMainForkNumber},
                                 {kDefaultTablespaceOid, 5, 16385, kMainForkNumber},
                                 {kDefaultTablespaceOid, 5, 16384, kVisibilityMapForkNumber}};
  ChangedBlocks changes;
  changes.Limit(kFork, 0);
  changes.Seal();
  for (const RelationFork& other : others) EXPECT_EQ(changes.Find(other), nullptr);
  EXPECT_FALSE(changes.IsDatabaseNew(kDefaultTablespaceOid, 5));
}

TEST(ChangedBlocks, KnowANewDatabaseByTheRelationZero) {
  ChangedBlocks changes;
  changes.Limit({16399, 5, 0, kMainForkNumber}, 0);
  changes.Seal();
  EXPECT_TRUE(changes.IsDatabaseNew(16399, 5));
  EXPECT_FALSE(changes.IsDatabaseNew(16399, 6));
  EXPECT_FALSE(changes.IsDatabaseNew(kDefaultTablespaceOid, 5));
}

}  // namespace
}  // namespace backup_ext
