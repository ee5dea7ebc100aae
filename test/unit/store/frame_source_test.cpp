// Frames read back from packs, checked.
#include "store/frame_source.h"

#include <fcntl.h>

#include <map>
#include <random>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

constexpr uint64_t kMostInHandBytes = 18 * 1024 * 1024;

struct WrittenFrame {
  PackId pack;
  FrameRef frame;
  Bytes plain;
};

class FrameSourceTest : public testing::Test {
 protected:
  // A pack of `count` frames, each of its own bytes and of the same stored size.
  std::vector<WrittenFrame> PutPack(const PackId& pack, int count,
                                    uint64_t system_identifier = kTestSystemIdentifier,
                                    size_t plain_bytes = 5000) {
    std::vector<WrittenFrame> frames;
    Bytes content = EncodePackHeader({system_identifier, pack});
    for (int i = 0; i < count; i++) {
      WrittenFrame written = {pack, {}, RandomBytes(plain_bytes)};
      const uint64_t offset_bytes = content.size();
      written.frame = encoder_.Encode(written.plain, &content);
      written.frame.offset_bytes = offset_bytes;
      frames.push_back(std::move(written));
    }
    repository_.store().Put(PackName(pack), content);
    return frames;
  }
  std::string PathOf(const PackId& pack) { return location_ + "/" + PackName(pack); }

  void ExpectDamaged(FrameSource* source, const WrittenFrame& written, const std::string& problem) {
    const std::optional<Error> error =
        ErrorOf([&] { static_cast<void>(source->Read(written.frame, written.pack)); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kDamaged);
    EXPECT_EQ(error->message(), "could not read frame at offset " +
                                    std::to_string(written.frame.offset_bytes) + " of pack \"" +
                                    PackName(written.pack) + "\": " + problem);
    EXPECT_EQ(error->detail(),
              "The pack was written by backup \"" + written.pack.backup_id + "\".");
  }

  static std::string TextOf(ByteSpan bytes) { return std::string(AsText(bytes)); }

  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
  FrameEncoder encoder_{1};
  const std::string id_ = TestBackupId(1);
};

TEST_F(FrameSourceTest, ReadsEveryFrameInAnyOrder) {
  // More packs and frames than are kept in hand.
  std::vector<WrittenFrame> frames;
  for (uint32_t number = 0; number < 40; number++) {
    for (WrittenFrame& frame : PutPack({id_, 0, number}, 5)) frames.push_back(std::move(frame));
  }
  FrameSource source(repository_);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; i++) {
    const WrittenFrame& wanted = frames[random() % frames.size()];
    ASSERT_TRUE(std::ranges::equal(source.Read(wanted.frame, wanted.pack), wanted.plain));
  }
}

TEST_F(FrameSourceTest, KeepsTheLastEightFramesInHand) {
  const std::vector<WrittenFrame> frames = PutPack({id_, 0, 0}, 9);
  FrameSource source(repository_);
  for (int i = 0; i < 8; i++) static_cast<void>(source.Read(frames[i].frame, frames[i].pack));
  static_cast<void>(source.Read(frames[0].frame, frames[0].pack));  // now 1 is the oldest
  static_cast<void>(source.Read(frames[8].frame, frames[8].pack));
  // What is in hand is read no more: it is found although the pack has lost everything.
  const FileDescriptor file = OpenFile(PathOf({id_, 0, 0}), O_WRONLY | O_TRUNC);
  for (int i = 0; i < 9; i++) {
    if (i == 1) continue;
    EXPECT_TRUE(std::ranges::equal(source.Read(frames[i].frame, frames[i].pack), frames[i].plain));
  }
  ExpectDamaged(&source, frames[1], Describe(FrameProblem::kTooShort));
  // The failure left nothing that is taken for the frame, or for the one that made room for it.
  ExpectDamaged(&source, frames[1], Describe(FrameProblem::kTooShort));
  ExpectDamaged(&source, frames[0], Describe(FrameProblem::kTooShort));
}

// The page map of a file whose pages come from `generations` packs: the first pages of it from each
// in turn, page by page, and so on, as incremental backups leave it. `frames` holds what they are.
PageMap ScatteredMap(const std::vector<std::vector<WrittenFrame>>& generations, size_t pages,
                     unsigned seed) {
  constexpr size_t kPagesOfFrame = 4;
  std::mt19937 random(seed);
  PageMap map;
  map.unit_bytes = 1024;
  std::vector<size_t> taken(generations.size());  // pages of each generation
  std::map<std::pair<size_t, size_t>, uint32_t> numbers;
  for (size_t page = 0; page < pages; page++) {
    // A few generations hold most pages, as they do in life.
    const size_t generation =
        std::min(random() % generations.size(), random() % generations.size());
    const size_t frame = taken[generation] / kPagesOfFrame;
    if (frame >= generations[generation].size()) continue;
    const auto [number, is_new] = numbers.emplace(std::pair(generation, frame), map.frames.size());
    if (is_new) {
      map.frames.push_back(generations[generation][frame].frame);
      map.frames.back().pack = static_cast<uint32_t>(generation);
    }
    map.runs.push_back(
        {1, number->second, static_cast<uint32_t>(taken[generation]++ % kPagesOfFrame)});
  }
  return map;
}

TEST_F(FrameSourceTest, DecodesEachFrameOfAScatteredFileOnce) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (const uint32_t count : {1U, 2U, 17U, 64U, 256U}) {
    SCOPED_TRACE(std::to_string(count) + " generations");
    std::vector<std::vector<WrittenFrame>> generations;
    for (uint32_t i = 0; i < count; i++) generations.push_back(PutPack({id_, count, i}, 12));
    const PageMap map = ScatteredMap(generations, 2000, seed);
    for (const size_t open_packs : {kMostOpenPacks, size_t{4}}) {
      FrameSource source(repository_, open_packs);
      source.BeginFile(map);
      for (const PageRun& run : map.runs) {
        const FrameRef& frame = map.frames[run.frame];
        const std::vector<WrittenFrame>& pack = generations[frame.pack];
        const auto written = std::ranges::find(pack, frame.offset_bytes,
                                               [](const auto& w) { return w.frame.offset_bytes; });
        ASSERT_NE(written, pack.end());
        ASSERT_TRUE(std::ranges::equal(source.Read(frame, written->pack), written->plain));
      }
      EXPECT_EQ(source.frames_decoded(), map.frames.size());
    }
  }
}

// More than fit, by number and by bytes: everything still comes back right, some of it decoded
// again.
TEST_F(FrameSourceTest, ReadsAFileOfMoreGenerationsThanItKeeps) {
  for (const auto& [count, is_large] : {std::pair{300U, false}, std::pair{80U, true}}) {
    SCOPED_TRACE(std::to_string(count) + " generations");
    std::vector<std::vector<WrittenFrame>> generations;
    PageMap map;
    map.unit_bytes = 1024;
    for (uint32_t i = 0; i < count; i++) {
      generations.push_back(PutPack({id_, count, i}, 1, kTestSystemIdentifier,
                                    is_large ? kFramePlainLimitBytes : size_t{5000}));
      map.frames.push_back(generations[i][0].frame);
      map.frames[i].pack = i;
    }
    for (uint32_t i = 0; i < count * 4; i++) map.runs.push_back({1, i % count, i / count});
    FrameSource source(repository_);
    source.BeginFile(map);
    for (const PageRun& run : map.runs) {
      const WrittenFrame& written = generations[run.frame][0];
      ASSERT_TRUE(std::ranges::equal(source.Read(written.frame, written.pack), written.plain));
    }
    EXPECT_GT(source.frames_decoded(), count);
    EXPECT_LE(source.bytes_in_hand(), kMostInHandBytes);
  }
}

// As many as incremental backups leave at most (page_plan.h), of all sizes, one file after another.
TEST_F(FrameSourceTest, HoldsWhatAFileOfManyBackupsNeeds) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  FrameSource source(repository_);
  size_t frames = 0;
  for (uint32_t file = 0; file < 12; file++) {
    std::vector<WrittenFrame> generations;
    uint64_t left = 64 * kFramePlainLimitBytes;
    const size_t largest = file % 3 == 0 ? kFramePlainLimitBytes : size_t{20'000} << file % 4;
    for (uint32_t i = 0; i < 256 && left >= largest; i++) {
      const size_t bytes = file % 3 == 0 ? largest : 4096 + random() % (largest - 4096);
      generations.push_back(PutPack({id_, file, i}, 1, kTestSystemIdentifier, bytes)[0]);
      left -= bytes;
    }
    PageMap map;
    map.unit_bytes = 1024;
    for (const WrittenFrame& generation : generations) map.frames.push_back(generation.frame);
    // Each is needed at the begin, often or seldom between, and at the end.
    const auto count = static_cast<uint32_t>(generations.size());
    for (uint32_t i = 0; i < count * 6; i++) {
      const bool is_in_turn = i < count || i >= count * 5;
      const auto frame = static_cast<uint32_t>(is_in_turn ? i % count : random() % count);
      map.runs.push_back({1, frame, i / count % 4});
    }
    source.BeginFile(map);
    for (const PageRun& run : map.runs) {
      const WrittenFrame& written = generations[run.frame];
      ASSERT_TRUE(std::ranges::equal(source.Read(written.frame, written.pack), written.plain));
      ASSERT_LE(source.bytes_in_hand(), kMostInHandBytes);
    }
    frames += count;
    EXPECT_EQ(source.frames_decoded(), frames) << "file " << file;
  }
}

// One that asks for a run several times, and leaves runs out.
TEST_F(FrameSourceTest, GoesToARun) {
  std::vector<WrittenFrame> frames;
  PageMap map;
  map.unit_bytes = 1024;
  for (uint32_t i = 0; i < 40; i++) {
    frames.push_back(PutPack({id_, 0, i}, 1)[0]);
    map.frames.push_back(frames[i].frame);
  }
  for (uint32_t i = 0; i < 160; i++) map.runs.push_back({1, i % 40, i / 40});
  FrameSource source(repository_);
  for (int file = 0; file < 2; file++) {
    source.BeginFile(map);
    for (uint32_t run = 0; run < map.runs.size(); run += run % 7 == 0 ? 3 : 1) {
      const WrittenFrame& written = frames[map.runs[run].frame];
      for (int i = 0; i < 3; i++) {
        source.SkipTo(run);
        ASSERT_TRUE(std::ranges::equal(source.Read(written.frame, written.pack), written.plain));
      }
    }
    EXPECT_LE(source.frames_decoded(), 40U + file * 40U);
  }
}

// A file that was left in the middle holds nothing back from the next one.
TEST_F(FrameSourceTest, ForgetsThePlanOfAFileThatWasLeft) {
  const std::vector<WrittenFrame> frames = PutPack({id_, 0, 0}, 100);
  PageMap map;
  map.unit_bytes = 1024;
  for (const WrittenFrame& written : frames) map.frames.push_back(written.frame);
  for (uint32_t i = 0; i < 200; i++) map.runs.push_back({1, i % 100, i / 100});
  FrameSource source(repository_);
  source.BeginFile(map);
  for (size_t i = 0; i < 72; i++) static_cast<void>(source.Read(frames[i].frame, frames[i].pack));
  PageMap other;
  other.unit_bytes = 1024;
  other.frames = {frames[0].frame};
  other.runs = {{1, 0, 0}};
  source.BeginFile(other);
  EXPECT_TRUE(std::ranges::equal(source.Read(frames[99].frame, frames[99].pack), frames[99].plain));
  other.runs = {{1, 5, 0}};  // hostile: there is no such frame
  source.BeginFile(other);
  EXPECT_TRUE(std::ranges::equal(source.Read(frames[7].frame, frames[7].pack), frames[7].plain));
}

TEST(OpenPacks, StayBelowWhatAProcessMayOpen) {
  EXPECT_EQ(OpenPacksOfOne(1), 288U);
  EXPECT_EQ(OpenPacksOfOne(9), 66U);
  EXPECT_EQ(OpenPacksOfOne(65), 9U);
  EXPECT_EQ(OpenPacksOfOne(0), 288U);
  for (int sources = 1; sources < 100; sources++)
    EXPECT_LE(sources * OpenPacksOfOne(sources), 600U);
}

TEST_F(FrameSourceTest, TakesNoFrameInHandForAnother) {
  const WrittenFrame written = PutPack({id_, 0, 0}, 1)[0];
  FrameSource source(repository_);
  static_cast<void>(source.Read(written.frame, written.pack));
  WrittenFrame other = written;
  other.frame.digest ^= 1;
  ExpectDamaged(&source, other, Describe(FrameProblem::kWrongFrame));
  other = written;
  other.pack.number = 1;
  ExpectDamaged(&source, other, "the pack does not exist");
}

TEST_F(FrameSourceTest, NamesDamage) {
  const PackId pack = {id_, 0, 0};
  const std::vector<WrittenFrame> frames = PutPack(pack, 3);
  {
    const FileDescriptor file = OpenFile(PathOf(pack), O_RDWR);
    const uint64_t place = frames[1].frame.offset_bytes + kFrameHeaderBytes + 1000;
    Bytes byte(1);
    ASSERT_EQ(ReadAt(file.get(), byte.data(), 1, place, ""), 1U);
    byte[0] ^= std::byte{1};
    WriteAllAt(file.get(), byte, place, "");
  }
  FrameSource source(repository_);
  ExpectDamaged(&source, frames[1], Describe(FrameProblem::kBadPayload));
  EXPECT_EQ(TextOf(source.Read(frames[0].frame, pack)), TextOf(frames[0].plain));
  EXPECT_EQ(TextOf(source.Read(frames[2].frame, pack)), TextOf(frames[2].plain));
}

TEST_F(FrameSourceTest, NoticesAPackInThePlaceOfAnother) {
  const PackId a = {id_, 0, 0}, b = {id_, 0, 1};
  const WrittenFrame in_a = PutPack(a, 1)[0], in_b = PutPack(b, 1)[0];
  ASSERT_EQ(StatFile(PathOf(a))->st_size, StatFile(PathOf(b))->st_size);
  RenameDurably(PathOf(a), top_ / "a");
  RenameDurably(PathOf(b), PathOf(a));
  RenameDurably(top_ / "a", PathOf(b));
  FrameSource source(repository_);
  ExpectDamaged(&source, in_a, "the pack's header is that of \"" + PackName(b) + "\"");
  ExpectDamaged(&source, in_b, "the pack's header is that of \"" + PackName(a) + "\"");
}

TEST_F(FrameSourceTest, NoticesAPackOfAnotherCluster) {
  const WrittenFrame written = PutPack({id_, 0, 0}, 1, 42)[0];
  FrameSource source(repository_);
  ExpectDamaged(&source, written,
                "the pack belongs to system identifier 42, not 7654321098765432109");
}

TEST_F(FrameSourceTest, NoticesAPackThatIsNone) {
  WrittenFrame written = {{id_, 0, 0}, {0, kPackHeaderBytes, 100, 60, 1}, {}};
  FrameSource source(repository_);
  ExpectDamaged(&source, written, "the pack does not exist");
  for (const char* content : {"", "short"}) {
    written.pack.number++;
    repository_.store().Put(PackName(written.pack), AsBytes(content));
    ExpectDamaged(&source, written, "the pack has no sound header");
  }
}

TEST_F(FrameSourceTest, RefusesReferencesThatCannotBe) {
  const WrittenFrame written = PutPack({id_, 0, 0}, 1)[0];
  FrameSource source(repository_);
  const std::string problem = "the manifest gives it a place or a length that no frame has";
  for (const FrameRef& frame :
       {FrameRef{}, FrameRef{0, 0, 100, 60, 1}, FrameRef{0, 64, 0xFFFFFFFF, 60, 1},
        FrameRef{0, 64, kFrameHeaderBytes - 1, 60, 1}}) {
    ExpectDamaged(&source, {written.pack, frame, {}}, problem);
  }
  ExpectDamaged(&source, {written.pack, {0, 0xFFFFFFFFFFFFFFFF, 100, 60, 1}, {}},
                Describe(FrameProblem::kTooShort));
  ExpectDamaged(&source, {{"../../etc", 0, 0}, written.frame, {}},
                "the manifest gives it a pack that cannot be");
}

TEST_F(FrameSourceTest, SaysThatTheRepositoryIsGone) {
  const WrittenFrame written = PutPack({id_, 0, 0}, 1)[0];
  FrameSource source(repository_);
  RemoveTree(location_);
  EXPECT_ERROR(source.Read(written.frame, written.pack), ErrorCode::kNoRepository,
               "is no longer there");
}

}  // namespace
}  // namespace backup_ext
