// What is kept, what is gathered, and the map that comes of it.
#include "backup/page_plan.h"

#include "backup_test_support.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A file whose frames lie in packs of those numbers; each run is {pages, frame, first unit}.
ParentFile FileOf(const std::vector<uint32_t>& packs, const std::vector<PageRun>& runs,
                  uint32_t pages_a_frame = 8) {
  ParentFile file;
  file.entry.map.unit_bytes = kTestPageBytes;
  for (const uint32_t pack : packs) {
    FrameRef frame;
    frame.pack = pack;
    frame.plain_bytes = pages_a_frame * kTestPageBytes;
    frame.stored_bytes = 1000;
    frame.offset_bytes = 64 + file.entry.map.frames.size();
    file.entry.map.frames.push_back(frame);
  }
  for (const PageRun& run : runs) file.entry.map.Append(run.units, run.frame, run.first_unit);
  return file;
}

FrameRef OwnFrame(uint32_t pages) {
  FrameRef frame;
  frame.pack = 99;
  frame.plain_bytes = pages * kTestPageBytes;
  frame.stored_bytes = 500;
  return frame;
}

void KeepAllBut(PagePlan* plan, const std::set<uint64_t>& changed) {
  for (uint64_t page = 0; page < plan->count(); ++page) {
    if (!changed.contains(page)) plan->Keep(page);
  }
}

uint32_t GenerationOfPack(uint32_t pack) { return pack; }

TEST(PagePlan, StoresEverythingAtFirst) {
  const ParentFile parent = FileOf({1}, {{8, 0, 0}});
  PagePlan plan(parent, 0, 3);
  plan.Gather({}, GenerationOfPack);
  EXPECT_THAT(plan.PagesToStore(), ElementsAre(0, 1, 2));
}

TEST(PagePlan, KeepsNoPageThatTheParentDoesNotHave) {
  const ParentFile parent = FileOf({1}, {{8, 0, 0}});
  PagePlan plan(parent, 0, 10);
  KeepAllBut(&plan, {});
  EXPECT_THAT(plan.PagesToStore(), ElementsAre(8, 9));
  PagePlan behind(parent, 16, 4);
  KeepAllBut(&behind, {});
  EXPECT_THAT(behind.PagesToStore(), ElementsAre(0, 1, 2, 3));
}

TEST(PagePlan, GathersFramesOfWhichLessThanHalfIsLeft) {
  const ParentFile parent = FileOf({1, 2}, {{8, 0, 0}, {8, 1, 0}});
  PagePlan plan(parent, 0, 16);
  // Four of eight are left of the first frame, three of the second.
  KeepAllBut(&plan, {0, 2, 4, 6, 8, 9, 10, 11, 12});
  plan.Gather({}, GenerationOfPack);
  EXPECT_THAT(plan.PagesToStore(), ElementsAre(0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15));
}

TEST(PagePlan, GathersDyingPacks) {
  ParentFile parent = FileOf({1, 2, 3}, {{8, 0, 0}, {8, 1, 0}, {8, 2, 0}});
  parent.uses_dying_pack = true;
  PagePlan plan(parent, 0, 24);
  KeepAllBut(&plan, {});
  plan.Gather({{2, UINT64_MAX}, {7, UINT64_MAX}}, GenerationOfPack);
  EXPECT_THAT(plan.PagesToStore(), ElementsAre(8, 9, 10, 11, 12, 13, 14, 15));
}

// `generations` backups, of which the one with number n has 8 * (n + 1) pages in the file.
ParentFile FileOfGenerations(uint32_t generations) {
  std::vector<uint32_t> packs;
  std::vector<PageRun> runs;
  for (uint32_t generation = 0; generation < generations; ++generation) {
    for (uint32_t i = 0; i <= generation; ++i) {
      runs.push_back({8, static_cast<uint32_t>(packs.size()), 0});
      packs.push_back(generation);
    }
  }
  return FileOf(packs, runs);
}

TEST(PagePlan, KeepsAsManyGenerationsAsARestoreHoldsInHand) {
  const uint32_t most = kGenerationsLimit;
  {
    const ParentFile parent = FileOfGenerations(most);
    PagePlan plan(parent, 0, parent.entry.map.SizeBytes() / kTestPageBytes);
    KeepAllBut(&plan, {});
    plan.Gather({}, GenerationOfPack);
    EXPECT_THAT(plan.PagesToStore(), IsEmpty());
  }
  {
    // What is stored makes a generation of its own: the smallest one goes.
    const ParentFile parent = FileOfGenerations(most);
    const uint64_t pages = parent.entry.map.SizeBytes() / kTestPageBytes;
    PagePlan plan(parent, 0, pages);
    KeepAllBut(&plan, {pages - 1});
    plan.Gather({}, GenerationOfPack);
    EXPECT_THAT(plan.PagesToStore(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, pages - 1));
  }
  {
    const ParentFile parent = FileOfGenerations(most + 1);
    PagePlan plan(parent, 0, parent.entry.map.SizeBytes() / kTestPageBytes);
    KeepAllBut(&plan, {});
    plan.Gather({}, GenerationOfPack);
    // Those with 8 and with 16 pages.
    EXPECT_EQ(plan.PagesToStore().size(), 24U);
    EXPECT_EQ(plan.PagesToStore().back(), 23U);
  }
}

TEST(PagePlan, PlacesPagesInOrder) {
  ParentFile parent = FileOf({1, 2}, {{4, 0, 2}, {8, 1, 0}});
  // Pages 1 and 10 had the flag; 1 is stored afresh.
  parent.entry.map.all_visible = {std::byte{0x02}, std::byte{0x04}};
  PagePlan plan(parent, 0, 12);
  KeepAllBut(&plan, {1, 5, 6});
  plan.Gather({}, GenerationOfPack);
  ASSERT_THAT(plan.PagesToStore(), ElementsAre(0, 1, 2, 3, 5, 6));
  plan.Place(OwnFrame(4), 4);
  plan.Place(OwnFrame(2), 2);
  const PageMap map = plan.Finish();
  map.Check(12 * kTestPageBytes);
  EXPECT_EQ(map.unit_bytes, kTestPageBytes);
  ASSERT_EQ(map.frames.size(), 3U);
  EXPECT_EQ(map.frames[0], OwnFrame(4));
  EXPECT_EQ(map.frames[1], parent.entry.map.frames[1]);
  EXPECT_EQ(map.frames[2], OwnFrame(2));
  EXPECT_THAT(map.runs,
              ElementsAre(PageRun{4, 0, 0}, PageRun{1, 1, 0}, PageRun{2, 2, 0}, PageRun{5, 1, 3}));
  EXPECT_THAT(map.all_visible, ElementsAre(std::byte{0}, std::byte{0x04}));
}

TEST(PagePlan, CountsPagesInItsPart) {
  ParentFile parent = FileOf({1, 2, 3}, {{8, 0, 0}, {8, 1, 0}, {8, 2, 0}});
  parent.entry.map.all_visible = {std::byte{0}, std::byte{0x80}, std::byte{0x01}};
  PagePlan plan(parent, 8, 16);
  KeepAllBut(&plan, {0});
  EXPECT_THAT(plan.PagesToStore(), ElementsAre(0));
  plan.Place(OwnFrame(1), 1);
  const PageMap map = plan.Finish();
  map.Check(16 * kTestPageBytes);
  EXPECT_EQ(map.frames[1], parent.entry.map.frames[1]);
  EXPECT_THAT(map.runs, ElementsAre(PageRun{1, 0, 0}, PageRun{7, 1, 1}, PageRun{8, 2, 0}));
  EXPECT_THAT(map.all_visible, ElementsAre(std::byte{0x80}, std::byte{0x01}));
}

TEST(PagePlan, RefusesToLeaveAPageOut) {
  const ParentFile parent = FileOf({1}, {{8, 0, 0}});
  PagePlan plan(parent, 0, 8);
  KeepAllBut(&plan, {3, 7});
  plan.Place(OwnFrame(1), 1);
  const auto error = ErrorOf([&] { (void)plan.Finish(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace backup_ext
