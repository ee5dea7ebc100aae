// What is kept, what is gathered, and the map that comes of it.
#include "backup/page_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

#include "backup_test_support.h"

namespace backup_ext {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;

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

// A part that comes from the backups 0, 1, ... in turn, a page of each, in frames of
// `pages_a_frame`; of the first `large` ones four frames, of the others one.
ParentFile ScatteredFile(uint32_t generations, uint32_t large, uint32_t pages_a_frame) {
  std::vector<uint32_t> packs;
  std::vector<PageRun> runs;
  constexpr uint32_t kFramesOfLarge = 4;
  for (uint32_t turn = 0; turn < kFramesOfLarge; ++turn) {
    const uint32_t end = turn == 0 ? generations : large;
    const auto first = static_cast<uint32_t>(packs.size());
    for (uint32_t i = 0; i < end; ++i) packs.push_back(i);
    for (uint32_t page = 0; page < pages_a_frame; ++page) {
      for (uint32_t i = 0; i < end; ++i) runs.push_back({1, first + i, page});
    }
  }
  return FileOf(packs, runs, pages_a_frame);
}

// What is left of `parent` when nothing but its last page changed.
struct Left {
  std::set<uint32_t> packs;
  uint64_t stored = 0;
};
Left GatherAllButTheLast(const ParentFile& parent) {
  const uint64_t pages = parent.entry.map.SizeBytes() / kTestPageBytes;
  PagePlan plan(parent, 0, pages);
  KeepAllBut(&plan, {pages - 1});
  plan.Gather({}, GenerationOfPack);
  Left left;
  left.stored = plan.PagesToStore().size();
  uint64_t page = 0;
  for (const PageRun& run : parent.entry.map.runs) {
    if (plan.is_kept(page)) left.packs.insert(parent.entry.map.frames[run.frame].pack);
    page += run.units;
  }
  return left;
}

// A part may use between 5/8 of what a restore holds in hand and all of it.
constexpr uint32_t kLargePages = kFramePlainLimitBytes / kTestPageBytes;
constexpr uint32_t kFullFrames = kBytesInHandLimit / kFramePlainLimitBytes;

TEST(PagePlan, KeepsAsManyFullFramesAsARestoreHoldsInHand) {
  const Left few = GatherAllButTheLast(ScatteredFile(kFullFrames / 2, 0, kLargePages));
  EXPECT_EQ(few.stored, 1U);
  const Left many = GatherAllButTheLast(ScatteredFile(kFullFrames + 1, 0, kLargePages));
  // Half of what is allowed, the one that is stored counted.
  EXPECT_THAT(many.packs.size(), AllOf(Ge(kFullFrames * 5 / 16 - 1), Le(kFullFrames / 2)));
  EXPECT_EQ(many.stored, (kFullFrames + 1 - many.packs.size()) * kLargePages);
}

TEST(PagePlan, KeepsMoreSmallFrames) {
  constexpr uint32_t kPages = 4;
  const Left few = GatherAllButTheLast(ScatteredFile(kGenerationsLimit / 2, 0, kPages));
  EXPECT_EQ(few.stored, 1U);
  const Left many = GatherAllButTheLast(ScatteredFile(kGenerationsLimit + 1, 0, kPages));
  EXPECT_THAT(many.packs.size(),
              AllOf(Ge(kGenerationsLimit * 5 / 16 - 1), Le(kGenerationsLimit / 2)));
}

TEST(PagePlan, GathersTheBackupsWithTheFewestPages) {
  constexpr uint32_t kLarge = 20;
  const Left left = GatherAllButTheLast(ScatteredFile(kGenerationsLimit + 1, kLarge, 4));
  for (uint32_t i = 0; i < kLarge; ++i) EXPECT_TRUE(left.packs.contains(i)) << i;
}

// What is allowed differs, or a whole cluster would be gathered at once: by the file, and in it.
TEST(PagePlan, DoesNotGatherAllPartsAtOnce) {
  ParentFile parent = ScatteredFile(kFullFrames * 13 / 16, 0, kLargePages);
  constexpr uint64_t kParts = 64;
  const uint64_t pages = parent.entry.map.SizeBytes() / kTestPageBytes - kParts;
  for (const bool by_file : {true, false}) {
    std::map<bool, int> parts;
    for (uint64_t i = 0; i < kParts; ++i) {
      parent.entry.path = fmt::format("base/5/{}", 16384 + (by_file ? i : 0));
      PagePlan plan(parent, by_file ? 0 : i, pages);
      KeepAllBut(&plan, {});
      plan.Gather({}, GenerationOfPack);
      ++parts[plan.PagesToStore().empty()];
    }
    EXPECT_GT(parts[true], 10);
    EXPECT_GT(parts[false], 10);
  }
}

// Of what a plan keeps, counted anew: pages of each frame, and the largest frame of each pack.
struct Kept {
  std::set<uint64_t> pages;
  std::map<uint32_t, uint32_t> of_frame;
  std::map<uint32_t, uint64_t> of_pack;

  Kept(const PagePlan& plan, const std::vector<PageRun>& a_page_each, const PageMap& map) {
    for (uint64_t page = 0; page < plan.count(); ++page) {
      if (!plan.is_kept(page)) continue;
      pages.insert(page);
      const FrameRef& frame = map.frames[a_page_each[page].frame];
      ++of_frame[a_page_each[page].frame];
      of_pack[frame.pack] = std::max<uint64_t>(of_pack[frame.pack], frame.plain_bytes);
    }
  }
  [[nodiscard]] double PartOfLimit() const {
    uint64_t bytes = kFramePlainLimitBytes;  // of what is stored
    for (const auto& [pack, of_largest] : of_pack) bytes += of_largest;
    return std::max(static_cast<double>(bytes) / kBytesInHandLimit,
                    static_cast<double>(of_pack.size() + 1) / kGenerationsLimit);
  }
};

TEST(PagePlan, KeepsItsRulesWhateverTheFileIs) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::map<std::string, int> seen;
  for (int round = 0; round < 300; ++round) {
    // Frames of up to `largest` pages in up to `generations` packs, in page order or scattered.
    const uint32_t generations = 1 + random() % 400;
    const uint32_t largest = 1 + random() % kLargePages;
    const uint32_t frames = 1 + random() % 600;
    ParentFile parent;
    parent.entry.path = fmt::format("base/5/{}", round);
    parent.entry.map.unit_bytes = kTestPageBytes;
    std::vector<PageRun> runs;
    for (uint32_t i = 0; i < frames; ++i) {
      const uint32_t units = 1 + random() % largest;
      FrameRef frame;
      frame.pack = random() % generations;
      frame.plain_bytes = units * kTestPageBytes;
      parent.entry.map.frames.push_back(frame);
      for (uint32_t unit = 0; unit < units; ++unit) {
        if (random() % 4 != 0) runs.push_back({1, i, unit});
      }
    }
    if (random() % 2 == 0) std::ranges::shuffle(runs, random);
    for (const PageRun& run : runs) parent.entry.map.Append(1, run.frame, run.first_unit);

    PagePlan plan(parent, 0, runs.size());
    const uint32_t changed_in_8 = random() % 8;
    for (uint64_t page = 0; page < runs.size(); ++page) {
      if (random() % 8 >= changed_in_8) plan.Keep(page);
    }
    const PageMap& map = parent.entry.map;
    const Kept before(plan, runs, map);
    plan.Gather({}, GenerationOfPack);
    const Kept after(plan, runs, map);

    ASSERT_TRUE(std::ranges::includes(before.pages, after.pages));
    ASSERT_LE(after.PartOfLimit(), 1);
    const auto is_dead = [&](uint32_t frame, uint32_t live, uint32_t times) {
      return live * times < map.frames[frame].plain_bytes / kTestPageBytes;
    };
    for (const auto& [frame, live] : after.of_frame) {
      ASSERT_EQ(live, before.of_frame.at(frame));  // a frame is kept whole or not at all
      ASSERT_FALSE(is_dead(frame, live, 4));
    }
    constexpr double kNeverWaits = 0.75 * 0.625;
    if (before.PartOfLimit() > kNeverWaits) {
      ++seen[before.PartOfLimit() > 1 ? "too many" : "many"];
      continue;
    }
    ++seen["few"];
    for (const auto& [frame, live] : before.of_frame) {
      ASSERT_EQ(after.of_frame.contains(frame), !is_dead(frame, live, 2));
    }
  }
  EXPECT_GT(seen["few"], 10);
  EXPECT_GT(seen["many"], 10);
  EXPECT_GT(seen["too many"], 10);
}

// What is gathered soon anyway is not gathered twice.
TEST(PagePlan, LetsDeadFramesWaitWhereMuchIsScattered) {
  constexpr uint32_t kPages = 8;
  ParentFile parent = ScatteredFile(kGenerationsLimit * 11 / 16, 0, kPages);
  const uint64_t pages = parent.entry.map.SizeBytes() / kTestPageBytes;
  const uint64_t frames = parent.entry.map.frames.size();
  for (const uint64_t changed : {5, 7}) {
    std::set<uint64_t> of_the_first;  // of its eight pages
    for (uint64_t i = 0; i < changed; ++i) of_the_first.insert(i * frames);
    std::map<std::string, int> parts;
    for (int i = 0; i < 64; ++i) {
      parent.entry.path = fmt::format("base/5/{}", 16384 + i);
      PagePlan plan(parent, 0, pages);
      KeepAllBut(&plan, of_the_first);
      plan.Gather({}, GenerationOfPack);
      const uint64_t stored = plan.PagesToStore().size();
      ++parts[stored == changed ? "waits" : stored == kPages ? "goes" : "goes with others"];
    }
    EXPECT_EQ(parts["waits"] > 10, changed == 5);
    EXPECT_EQ(parts["waits"] == 0, changed == 7);
    EXPECT_GT(parts["goes"], 5);
    EXPECT_GT(parts["goes with others"], 3);
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
