// Frames read back from packs, checked.
#include "store/frame_source.h"

#include <fcntl.h>

#include <random>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

struct WrittenFrame {
  PackId pack;
  FrameRef frame;
  Bytes plain;
};

class FrameSourceTest : public testing::Test {
 protected:
  // A pack of `count` frames, each of its own bytes and of the same stored size.
  std::vector<WrittenFrame> PutPack(const PackId& pack, int count,
                                    uint64_t system_identifier = kTestSystemIdentifier) {
    std::vector<WrittenFrame> frames;
    Bytes content = EncodePackHeader({system_identifier, pack});
    for (int i = 0; i < count; i++) {
      WrittenFrame written = {pack, {}, RandomBytes(5000)};
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

TEST_F(FrameSourceTest, KeepsTheLastSixteenFramesInHand) {
  const std::vector<WrittenFrame> frames = PutPack({id_, 0, 0}, 17);
  FrameSource source(repository_);
  for (int i = 0; i < 16; i++) static_cast<void>(source.Read(frames[i].frame, frames[i].pack));
  static_cast<void>(source.Read(frames[0].frame, frames[0].pack));  // now 1 is the oldest
  static_cast<void>(source.Read(frames[16].frame, frames[16].pack));
  // What is in hand is read no more: it is found although the pack has lost everything.
  const FileDescriptor file = OpenFile(PathOf({id_, 0, 0}), O_WRONLY | O_TRUNC);
  for (int i = 0; i < 17; i++) {
    if (i == 1) continue;
    EXPECT_TRUE(std::ranges::equal(source.Read(frames[i].frame, frames[i].pack), frames[i].plain));
  }
  ExpectDamaged(&source, frames[1], Describe(FrameProblem::kTooShort));
  // The failure left nothing that is taken for the frame, or for the one that made room for it.
  ExpectDamaged(&source, frames[1], Describe(FrameProblem::kTooShort));
  ExpectDamaged(&source, frames[0], Describe(FrameProblem::kTooShort));
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
