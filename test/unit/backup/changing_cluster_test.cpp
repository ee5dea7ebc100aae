// A backup of a cluster that changes under it.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "backup/copy_file.h"
#include "backup/copy_small_files.h"
#include "backup/unlogged_relations.h"
#include "backup_test_support.h"

namespace backup_ext {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

using ChangingClusterTest = BackupTest;

TEST_F(ChangingClusterTest, SurvivesFilesThatVanishShrinkAndGrow) {
  const int kFiles = 60;
  for (int i = 0; i < kFiles; ++i) {
    Write(fmt::format("base/5/{}", 16384 + i), MakePages(i % 3 == 0 ? 2500 : 10, 0x1000, i));
  }
  Write("base/5/stable", "stable");
  std::atomic<bool> done{false};
  std::thread mutator([&] {
    std::mt19937 random(1);
    while (!done) {
      const std::string path = fmt::format("base/5/{}", 16384 + random() % kFiles);
      switch (random() % 4) {
        case 0:
          std::filesystem::remove(Disk(path));
          break;
        case 1:
          (void)!truncate(Disk(path).c_str(), random() % 300 * kTestPageBytes);
          break;
        case 2:
          (void)!truncate(Disk(path).c_str(), random() % 300 * 1000);
          break;
        default:
          Write(path, MakePages(random() % 300, 0x1000, random()));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  done = true;
  mutator.join();
  // Every digest and every map is checked while it is read back.
  const StoredBackup backup = Finish(run.get());
  EXPECT_EQ(AsText(backup.At("base/5/stable").content), "stable");
}

// The pieces of a copy, with a change between the scan and the reading.
class CopyFileTest : public BackupTest {
 protected:
  CopyFileTest() {
    environment.facts = facts;
    environment.progress = &progress;
    environment.start_lsn = kTestStartLsn;
    environment.wal_position = kTestWalPosition;
    environment.workers.push_back({PackWriter(repository, &packs, options.backup_id, 0, 1),
                                   PageReader(&environment), Bytes(kFramePlainLimitBytes),
                                   nullptr});
  }
  ScannedEntry Scanned(const std::string& path) const {
    ScannedEntry scanned;
    scanned.entry.path = path;
    SetAttributes(*StatLink(Disk(path)), 0, &scanned.entry);
    scanned.relation = ParseRelationFileName(BaseName(path));
    return scanned;
  }
  Outcome TakeNext() {
    auto outcome = queue.TakeNext();
    EXPECT_TRUE(outcome.has_value());
    return outcome ? *std::move(outcome) : Outcome();
  }

  PackTable packs;
  CopyEnvironment environment;
  EntryQueue queue;
};

TEST_F(CopyFileTest, FixesTheSizeWhenAFileIsOpened) {
  Write("base/5/16384", MakePages(2050, 0x1000, 1));
  FileInParts file(&environment, &queue, queue.Begin(0), Scanned("base/5/16384"), {}, {});
  ASSERT_EQ(FileInParts::CountParts(Scanned("base/5/16384"), false), 3U);
  Write("base/5/16384", MakePages(3500, 0x1000, 2));
  file.CopyPart(2, &environment.workers[0]);
  ASSERT_EQ(truncate(Disk("base/5/16384").c_str(), 1030 * kTestPageBytes), 0);
  file.CopyPart(0, &environment.workers[0]);
  EXPECT_EQ(queue.TakeNext(), std::nullopt);
  file.CopyPart(1, &environment.workers[0]);
  const Outcome outcome = TakeNext();
  ASSERT_TRUE(outcome.copied.has_value());
  const ManifestEntry& entry = outcome.copied->entry;
  EXPECT_EQ(entry.size_bytes, 3500U * kTestPageBytes);
  EXPECT_TRUE(outcome.copied->damage.empty());
  entry.map.Check(entry.size_bytes);
  EXPECT_EQ(entry.map.all_visible.size(), 3500U / 8 + 1);
}

TEST_F(CopyFileTest, BoundsTheNumberOfParts) {
  ScannedEntry scanned;
  scanned.relation = RelationFileName{16384};
  const std::vector<std::pair<uint64_t, uint32_t>> cases = {
      {0, 1},
      {1, 1},
      {kPartBytes, 1},
      {kPartBytes + 1, 2},
      {kPartBytes * kPartsLimit - 1, kPartsLimit},
      {uint64_t{1} << 60, kPartsLimit}};
  for (const auto& [size_bytes, parts] : cases) {
    scanned.entry.size_bytes = size_bytes;
    EXPECT_LE(FileInParts::CountParts(scanned, false), parts);
    EXPECT_GE(FileInParts::CountParts(scanned, false), parts == kPartsLimit ? parts - 1 : parts);
  }
}

TEST_F(CopyFileTest, LeavesOutAFileThatVanished) {
  Write("base/5/16384", MakePages(2050, 0x1000, 1));
  Write("base/5/16385", MakePages(1, 0x1000, 1));
  FileInParts file(&environment, &queue, queue.Begin(0), Scanned("base/5/16384"), {}, {});
  const std::vector<SmallFile> small = {
      {queue.Begin(0), Scanned("base/5/16385"), nullptr, nullptr, std::nullopt}};
  std::filesystem::remove_all(Disk("base/5"));
  for (uint32_t part = 0; part < 3; ++part) file.CopyPart(part, &environment.workers[0]);
  CopySmallFiles(&environment, &environment.workers[0], &queue, small);
  EXPECT_FALSE(TakeNext().copied.has_value());
  EXPECT_FALSE(TakeNext().copied.has_value());
}

TEST_F(CopyFileTest, GivesASmallFileThatGrewFramesOfItsOwn) {
  Write("base/5/16384", MakePages(1, 0x1000, 1));
  const std::vector<SmallFile> small = {
      {queue.Begin(0), Scanned("base/5/16384"), nullptr, nullptr, std::nullopt}};
  Write("base/5/16384", MakePages(100, 0x1000, 1));
  CopySmallFiles(&environment, &environment.workers[0], &queue, small);
  const Outcome outcome = TakeNext();
  ASSERT_TRUE(outcome.copied.has_value());
  EXPECT_EQ(outcome.copied->entry.map.frames.size(), 4U);
  outcome.copied->entry.map.Check(100 * kTestPageBytes);
}

TEST_F(CopyFileTest, SkipsWhatBecameAPipe) {
  Write("base/5/16384", MakePages(1, 0x1000, 1));
  const std::vector<SmallFile> small = {
      {queue.Begin(0), Scanned("base/5/16384"), nullptr, nullptr, std::nullopt}};
  std::filesystem::remove(Disk("base/5/16384"));
  ASSERT_EQ(mkfifo(Disk("base/5/16384").c_str(), 0600), 0);
  CopySmallFiles(&environment, &environment.workers[0], &queue, small);
  const Outcome outcome = TakeNext();
  EXPECT_FALSE(outcome.copied.has_value());
  EXPECT_EQ(outcome.warning, "skipping special file \"base/5/16384\"");
}

TEST_F(CopyFileTest, AlignsPagesInSharedFrames) {
  Write("base/5/PG_VERSION", "15\n");
  Write("base/5/16384", MakePages(1, 0x1000, 1));
  Write("base/5/16385", MakePages(2, 0x1000, 2));
  std::vector<SmallFile> small;
  for (const char* path : {"base/5/16384", "base/5/PG_VERSION", "base/5/16385"}) {
    small.push_back({queue.Begin(0), Scanned(path), nullptr, nullptr, std::nullopt});
  }
  CopySmallFiles(&environment, &environment.workers[0], &queue, small);
  const ManifestEntry one = TakeNext().copied->entry;
  const ManifestEntry version = TakeNext().copied->entry;
  const ManifestEntry two = TakeNext().copied->entry;
  EXPECT_EQ(one.map.frames, two.map.frames);
  EXPECT_NE(one.map.frames, version.map.frames);
  EXPECT_THAT(two.map.runs, ElementsAre(PageRun{2, 0, 1}));
  EXPECT_EQ(version.map.frames[0].plain_bytes, 3U);
}

TEST_F(ChangingClusterTest, RemovesRelationsThatTurnOutUnlogged) {
  Bytes damaged_pages = MakePages(3, 0x1000, 1);
  damaged_pages[5000] ^= std::byte{1};
  Write("base/5/16384", damaged_pages);
  Write("base/5/16384_vm", MakePages(1, 0x1000, 1));
  Write("base/5/16384.1", MakePages(1, 0x1000, 1));
  Write("base/5/16385_init", MakePages(1, 0x1000, 1));
  Write("base/5/16386", MakePages(1, 0x1000, 1));
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  Write("base/5/16384_init", MakePages(1, 0x1000, 1));
  const StoredBackup backup = Finish(run.get());
  std::vector<std::string> removed;
  for (const StoredEntry& stored : backup.second) {
    EXPECT_EQ(stored.entry.kind, EntryKind::kRemoved);
    removed.push_back(stored.entry.path);
  }
  EXPECT_THAT(removed,
              ElementsAre("base/5/16384", "base/5/16384.1", "base/5/16384_fsm", "base/5/16384_vm"));
  // Their damage is none of the backup's.
  EXPECT_THAT(damaged, IsEmpty());
  EXPECT_EQ(record.state, "complete");
}

TEST_F(ChangingClusterTest, RemembersInitForksThatAreDroppedBeforeTheEnd) {
  Write("base/5/16384", MakePages(3, 0x1000, 1));
  Write("base/5/zzz", RandomBytes(3'000'000));
  const auto run = NewRun();
  run->SetMaxRate(6'000'000);
  server.on_pause = [&] {
    if (progress.phase == Phase::kCopying && progress.bytes_done > 1'500'000) {
      Write("base/5/16384_init", MakePages(1, 0x1000, 1));
    }
  };
  run->CopyCluster(kTestStartLsn);
  ASSERT_TRUE(StatLink(Disk("base/5/16384_init")));
  server.on_pause = nullptr;
  for (const char* name : {"16384", "16384_init"}) {
    std::filesystem::remove(Disk(fmt::format("base/5/{}", name)));
  }
  const StoredBackup backup = Finish(run.get());
  EXPECT_EQ(backup.At("base/5/16384").entry.kind, EntryKind::kRemoved);
}

TEST_F(ChangingClusterTest, LooksForInitForksInTablespacesToo) {
  const std::string database = fmt::format("pg_tblspc/16399/{}/5", kTestVersionDirectory);
  std::filesystem::create_directories(directory / fmt::format("space/{}/5", kTestVersionDirectory));
  ASSERT_EQ(symlink((directory / "space").c_str(), Disk("pg_tblspc/16399").c_str()), 0);
  Write(database + "/16384", MakePages(3, 0x1000, 1));
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  Write(database + "/16384_init", MakePages(1, 0x1000, 1));
  const StoredBackup backup = Finish(run.get());
  EXPECT_EQ(backup.At(database + "/16384").entry.kind, EntryKind::kRemoved);
}

TEST_F(ChangingClusterTest, FindsNothingLateInADroppedDatabase) {
  EXPECT_THAT(FindLateUnlogged(facts.data_directory, {{"base/99999", {}}}, [] {}), IsEmpty());
}

}  // namespace
}  // namespace backup_ext
