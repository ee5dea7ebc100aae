// Which packs a run uses, and how much of them.
#include "backup/pack_table.h"

#include "backup_test_support.h"
#include "format/pack.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;

const PackId kOwn{"20261123-100000-00000001", 0, 0};
const PackId kOther{"20261122-100000-00000002", 1, 3};

FrameRef Frame(uint32_t pack, uint64_t offset, uint32_t stored) {
  FrameRef frame;
  frame.pack = pack;
  frame.offset_bytes = offset;
  frame.stored_bytes = stored;
  return frame;
}

TEST(PackTable, ListsOnlyWhatIsUsed) {
  PackTable packs;
  const uint32_t own = packs.Add(kOwn);
  const uint32_t unused = packs.Add({kOwn.backup_id, 0, 1});
  const uint32_t earlier = packs.AddEarlier(kOther, 5000);
  const uint32_t unused_earlier = packs.AddEarlier({kOther.backup_id, 1, 4}, 7000);
  packs.Close(own, 1000);
  packs.Close(unused, 2000);
  packs.CountUse(Frame(own, 64, 100));
  packs.CountUse(Frame(own, 164, 50));
  packs.CountUse(Frame(earlier, 64, 70));
  EXPECT_THAT(packs.Used(), ElementsAre(PackUse{kOwn, 150, 1000}, PackUse{kOther, 70, 5000}));
  EXPECT_EQ(packs.WrittenBytes(), 3000U);
  EXPECT_EQ(packs.Find(unused_earlier), (PackId{kOther.backup_id, 1, 4}));
}

TEST(PackTable, GivesAnEarlierPackOneIndex) {
  PackTable packs;
  const uint32_t first = packs.AddEarlier(kOther, 5000);
  (void)packs.Add(kOwn);
  EXPECT_EQ(packs.AddEarlier(kOther, 5000), first);
}

TEST(PackTable, CountsNoMoreThanAPackHolds) {
  PackTable packs;
  const uint32_t earlier = packs.AddEarlier(kOther, 1000);
  // A frame that was forgotten is counted again.
  for (int i = 0; i < 3; ++i) packs.CountUse(Frame(earlier, 64, 900));
  EXPECT_THAT(packs.Used(), ElementsAre(PackUse{kOther, 1000 - kPackHeaderBytes, 1000}));
}

TEST(PackTable, RefusesAPackThatIsOpen) {
  PackTable packs;
  packs.CountUse(Frame(packs.Add(kOwn), 64, 10));
  const auto error = ErrorOf([&] { (void)packs.Used(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kInternal);
}

TEST(PackTable, NumbersBackups) {
  PackTable packs;
  const uint32_t a = packs.Add(kOwn);
  const uint32_t b = packs.AddEarlier(kOther, 1000);
  const uint32_t c = packs.AddEarlier({kOther.backup_id, 9, 9}, 1000);
  const uint32_t d = packs.Add({kOwn.backup_id, 1, 0});
  EXPECT_EQ(packs.GenerationOf(a), packs.GenerationOf(d));
  EXPECT_EQ(packs.GenerationOf(b), packs.GenerationOf(c));
  EXPECT_NE(packs.GenerationOf(a), packs.GenerationOf(b));
}

TEST(FramesMet, ForgetsOnlyWhatWasMetLongAgo) {
  constexpr uint32_t kFrames = 64 * 1024;
  FramesMet met;
  EXPECT_TRUE(met.Meet(Frame(1, 64, 10)));
  EXPECT_FALSE(met.Meet(Frame(1, 64, 10)));
  EXPECT_TRUE(met.Meet(Frame(2, 64, 10)));
  for (uint32_t i = 0; i < kFrames; ++i) EXPECT_TRUE(met.Meet(Frame(3, i, 10)));
  EXPECT_FALSE(met.Meet(Frame(1, 64, 10)));
  for (uint32_t i = 0; i < kFrames; ++i) EXPECT_TRUE(met.Meet(Frame(4, i, 10)));
  EXPECT_TRUE(met.Meet(Frame(1, 64, 10)));
}

}  // namespace
}  // namespace backup_ext
