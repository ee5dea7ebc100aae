// A whole backup: what is in it, what it says of itself, what is left of one that was ended.
#include "backup/backup_run.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "backup_test_support.h"
#include "base/digest.h"
#include "format/names.h"
#include "format/pack.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(BackupTest, GivesBackRandomTrees) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const std::vector<std::string> directories = {"base/5", "base/16400", "global", "pg_xact",
                                                "base.d", "x/y-z",      "x/y.z",  "x/y"};
  for (const std::string& path : directories) MakeClusterDirectory(path);
  for (int i = 0; i < 300; ++i) {
    const std::string& in = directories[random() % directories.size()];
    const size_t size = random() % 8 == 0 ? random() % 1'000'000 : random() % 3000;
    if (random() % 2 == 0) {
      Write(fmt::format("{}/file-{}", in, i), RandomContent(&random, size));
    } else {
      const auto pages = static_cast<uint32_t>(size / 4000);
      Write(fmt::format("{}/{}", in, 20000 + i), MakePages(pages, 0x1000, i));
    }
  }
  // Parts: several threads read one file.
  Write("base/5/16384", MakePages(3000, 0x1000, 1));
  Write("base/5/large", RandomContent(&random, 20'000'001));

  const StoredBackup backup = Backup();
  ExpectSameTree(backup, ReadTree());
  EXPECT_THAT(damaged, IsEmpty());
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(record.state, "complete");
  EXPECT_EQ(progress.files_done, progress.files_total);
  EXPECT_EQ(progress.bytes_done, progress.bytes_total);
}

TEST_F(BackupTest, FillsTheRecord) {
  Write("base/5/16384", MakePages(100, 0x1000, 1));
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  Write("pg_wal/000000010000000000000003", MakeWalSegment(1, 3, 1));
  run->PostWalSegment("000000010000000000000003", kTestWalSegmentBytes);
  const StoredBackup backup = Finish(run.get());

  const BackupRecord stored = FindBackup(repository, options.backup_id);
  EXPECT_EQ(stored, record);
  EXPECT_EQ(record.database_bytes, 3 + 100 * kTestPageBytes + kTestWalSegmentBytes);
  EXPECT_EQ(record.wal_bytes, kTestWalSegmentBytes);
  EXPECT_EQ(record.files, 3U);
  EXPECT_GT(record.finished_at, 0);
  const auto manifest = repository.store().Get(ManifestName(options.backup_id), 1 << 20);
  EXPECT_EQ(record.manifest_bytes, manifest->size());
  EXPECT_EQ(record.manifest_digest, HexEncode(Xxh3Digest(*manifest)));
  uint64_t stored_bytes = record.manifest_bytes;
  for (const PackUse& use : record.packs) {
    const auto pack = repository.store().Open(PackName(use.pack));
    ASSERT_NE(pack, nullptr);
    EXPECT_EQ(use.size_bytes, pack->size_bytes());
    EXPECT_EQ(use.used_bytes, use.size_bytes - kPackHeaderBytes);
    stored_bytes += use.size_bytes;
  }
  EXPECT_EQ(record.stored_bytes, stored_bytes);
}

TEST_F(BackupTest, KeepsAttributesAndVisibility) {
  Write("base/5/16384", MakePages(20, 0x1000, 1));
  ASSERT_EQ(chmod(Disk("base/5/16384").c_str(), 0640), 0);
  ASSERT_EQ(chmod(Disk("base").c_str(), 0750), 0);
  struct stat status;
  ASSERT_EQ(stat(Disk("base/5/16384").c_str(), &status), 0);
  const StoredBackup backup = Backup();

  const ManifestEntry& entry = backup.At("base/5/16384").entry;
  EXPECT_EQ(entry.file_kind, FileKind::kRelation);
  EXPECT_EQ(entry.map.unit_bytes, kTestPageBytes);
  EXPECT_EQ(entry.mode, 0640U);
  EXPECT_EQ(entry.inode, status.st_ino);
  EXPECT_EQ(entry.mtime_ns, status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec);
  EXPECT_EQ(entry.ctime_ns, status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec);
  EXPECT_GE(entry.read_at, entry.ctime_ns / 1000);
  // Every third page, from 0.
  EXPECT_EQ(entry.map.all_visible, (Bytes{std::byte{0x49}, std::byte{0x92}, std::byte{0x04}}));
  EXPECT_EQ(backup.At("base").entry.mode, 0750U);
  EXPECT_EQ(backup.At("PG_VERSION").entry.map.unit_bytes, 1U);
}

TEST_F(BackupTest, KnowsTheForks) {
  for (const char* name : {"16384", "16384_fsm", "16384_vm", "16385_init"}) {
    Write(fmt::format("base/5/{}", name), MakePages(2, 0x1000, 1));
  }
  const StoredBackup backup = Backup();
  EXPECT_EQ(backup.At("base/5/16384_fsm").entry.file_kind, FileKind::kFreeSpaceMap);
  EXPECT_EQ(backup.At("base/5/16384_vm").entry.file_kind, FileKind::kVisibilityMap);
  EXPECT_EQ(backup.At("base/5/16385_init").entry.file_kind, FileKind::kInitFork);
}

TEST_F(BackupTest, ReadsOddSizedRelationsByBytes) {
  Bytes odd = MakePages(3, 0x1000, 1);
  odd.resize(3 * kTestPageBytes - 100);
  Write("base/5/16384", odd);
  Bytes large = MakePages(2000, 0x1000, 2);
  large.push_back(std::byte{1});
  Write("base/5/16385", large);
  const StoredBackup backup = Backup();
  EXPECT_EQ(backup.At("base/5/16384").entry.map.unit_bytes, 1U);
  EXPECT_TRUE(backup.At("base/5/16384").content == odd);
  EXPECT_EQ(backup.At("base/5/16385").entry.map.unit_bytes, 1U);
  EXPECT_TRUE(backup.At("base/5/16385").content == large);
}

TEST_F(BackupTest, SharesFramesAmongSmallFiles) {
  std::mt19937_64 random(1);
  const int kFiles = 20'000;
  for (int i = 0; i < kFiles; ++i) {
    Write(fmt::format("base/5/{}", 20000 + i), i % 2 == 0 ? MakePages(1, 0x1000, i) : Bytes());
  }
  const StoredBackup backup = Backup();
  EXPECT_EQ(backup.totals.files, static_cast<uint64_t>(kFiles + 1));
  std::set<std::pair<uint32_t, uint64_t>> frames;
  for (const StoredEntry& stored : backup.first) {
    for (const FrameRef& frame : stored.entry.map.frames) {
      frames.insert({frame.pack, frame.offset_bytes});
    }
  }
  EXPECT_LE(record.packs.size(), 4U);
  EXPECT_LE(frames.size(), 10'000U * kTestPageBytes / kFramePlainLimitBytes * 2);
}

TEST_F(BackupTest, AsksTheServerForRelationMaps) {
  Write("global/pg_filenode.map", "map of global");
  Write("base/5/pg_filenode.map", "map of 5");
  Write("pg_xact/pg_filenode.map", "no map at all");
  const StoredBackup backup = Backup();
  EXPECT_THAT(server.relation_maps,
              ElementsAre("base/5/pg_filenode.map", "global/pg_filenode.map"));
  EXPECT_EQ(AsText(backup.At("base/5/pg_filenode.map").content), "map of 5");
  EXPECT_EQ(AsText(backup.At("global/pg_filenode.map").content), "map of global");
}

TEST_F(BackupTest, StoresSuppliedFilesInTheSecondSection) {
  std::mt19937_64 random(7);
  const Bytes large = RandomContent(&random, 700'000);
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  run->AddSuppliedFile(
      {EntryKind::kFile, FileKind::kControlFile, "global/pg_control", {}, Bytes(8192), 0600});
  run->AddSuppliedFile({EntryKind::kFile, FileKind::kOther, "backup_label", {}, large, 0600});
  run->AddSuppliedFile({EntryKind::kConfiguration, FileKind::kOther, "postgresql.conf",
                        "/etc/postgresql.conf", Bytes{std::byte{'a'}}, 0644});
  run->AddSuppliedFile({EntryKind::kFile, FileKind::kOther, "tablespace_map", {}, {}, 0600});
  const StoredBackup backup = Finish(run.get());
  ASSERT_EQ(backup.second.size(), 4U);
  EXPECT_TRUE(backup.At("backup_label").content == large);
  EXPECT_TRUE(backup.At("global/pg_control").content == Bytes(8192));
  EXPECT_EQ(backup.At("global/pg_control").entry.file_kind, FileKind::kControlFile);
  EXPECT_EQ(backup.At("postgresql.conf").entry.link_target, "/etc/postgresql.conf");
  EXPECT_EQ(backup.At("postgresql.conf").entry.mode, 0644U);
  EXPECT_THAT(backup.At("tablespace_map").content, IsEmpty());
}

TEST_F(BackupTest, ReportsDamagedPages) {
  Bytes pages = MakePages(50, 0x1000, 1);
  pages[12 * kTestPageBytes + 5000] ^= std::byte{1};
  Write("base/5/16384", pages);
  // A damaged LSN beyond all WAL does not pass for a page in flight.
  Bytes beyond = MakePages(3, 0x1000, 2);
  std::fill_n(beyond.begin() + 2 * kTestPageBytes, 8, std::byte{0xFF});
  Write("base/5/16385_vm", beyond);
  Bytes segment = MakePages(2, 0x1000, 3);  // sound, but not for this segment's blocks
  Write("base/5/16386.1", segment);
  // Mended by replay.
  Bytes in_flight = MakePages(2, kTestStartLsn + 8, 4);
  in_flight[5000] ^= std::byte{1};
  Write("base/5/16387", in_flight);

  const StoredBackup backup = Backup();
  ASSERT_EQ(damaged.size(), 4U);
  EXPECT_EQ(damaged[0].path, "base/5/16384");
  EXPECT_EQ(damaged[0].block, 12U);
  EXPECT_EQ(damaged[0].database_oid, 5U);
  EXPECT_NE(damaged[0].expected, damaged[0].found);
  EXPECT_EQ(damaged[1].path, "base/5/16385_vm");
  EXPECT_EQ(damaged[1].block, 2U);
  EXPECT_EQ(damaged[2].path, "base/5/16386.1");
  EXPECT_EQ(record.state, "damaged");
  EXPECT_EQ(record.error,
            "4 pages in 3 files failed their checksum: base/5/16384 block 12, "
            "base/5/16385_vm block 2, base/5/16386.1 block 0, base/5/16386.1 block 1");
  EXPECT_TRUE(backup.At("base/5/16384").content == pages);
}

TEST_F(BackupTest, JudgesNoPagesWithoutChecksums) {
  facts.data_checksums = false;
  Write("base/5/16384", Bytes(kTestPageBytes * 4, std::byte{0x5A}));
  const StoredBackup backup = Backup();
  EXPECT_THAT(damaged, IsEmpty());
  EXPECT_EQ(record.state, "complete");
}

TEST_F(BackupTest, LeavesNothingWhenCanceled) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 40; ++i) {
    Write(fmt::format("base/5/{}", 16384 + i), RandomContent(&random, 4'000'000));
  }
  options.max_bytes_per_second = 50'000'000;
  facts.data_checksums = false;
  for (const int pauses : {1, 2, 5}) {
    server.pauses = 0;
    server.on_pause = [&] {
      if (server.pauses >= pauses) throw Error(ErrorCode::kCanceled, "canceled by the test");
    };
    auto run = NewRun();
    const auto error = ErrorOf([&] { run->CopyCluster(kTestStartLsn); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kCanceled);
    EXPECT_NE(ErrorOf([&] { run->Finish(&record, *lock); }), std::nullopt);
    run.reset();
    ExpectNoObjects();
  }
}

TEST_F(BackupTest, LeavesNothingWhenCanceledAtTheEnd) {
  Write("base/5/random", RandomBytes(kPackTargetBytes + 1'000'000));  // one pack is committed
  auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  EXPECT_THAT(ObjectNames(), testing::Not(IsEmpty()));
  server.on_pause = [] { throw Error(ErrorCode::kTerminated, "terminated by the test"); };
  usleep(110'000);
  record.system_identifier = kTestSystemIdentifier;
  const auto error = ErrorOf([&] { run->Finish(&record, *lock); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kTerminated);
  run.reset();
  ExpectNoObjects();
}

TEST_F(BackupTest, LeavesNothingWhenTheRecordIsRefused) {
  auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  record.system_identifier = 1;
  const auto error = ErrorOf([&] { run->Finish(&record, *lock); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kWrongCluster);
  run.reset();
  ExpectNoObjects();
}

TEST_F(BackupTest, DoesNotCommitWithoutTheLock) {
  auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  std::filesystem::remove_all(directory / "repository/locks");
  EXPECT_NE(ErrorOf([&] { Finish(run.get()); }), std::nullopt);
  run.reset();
  EXPECT_THAT(ReadCatalog(repository).backups, IsEmpty());
  ExpectNoObjects();
}

TEST_F(BackupTest, EndsQuietlyWhenTheRepositoryIsGone) {
  Write("base/5/16384", MakePages(3000, 0x1000, 1));
  auto run = NewRun();
  std::filesystem::remove_all(directory / "repository");
  EXPECT_NE(ErrorOf([&] {
              run->CopyCluster(kTestStartLsn);
              run->Finish(&record, *lock);
            }),
            std::nullopt);
  run.reset();
}

TEST_F(BackupTest, NeverTouchesABackupOfTheSameId) {
  (void)Backup();
  const auto before = ObjectNames();
  const auto error = ErrorOf([&] { (void)NewRun(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ObjectNames(), before);
}

TEST_F(BackupTest, FailsWhenAFileCannotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  Write("base/5/16384", MakePages(3, 0x1000, 1));
  ASSERT_EQ(chmod(Disk("base/5/16384").c_str(), 0), 0);
  auto run = NewRun();
  const auto error = ErrorOf([&] { run->CopyCluster(kTestStartLsn); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(error->message(), HasSubstr("base/5/16384"));
}

TEST_F(BackupTest, KeepsToTheRate) {
  std::mt19937_64 random(3);
  Write("base/5/random", RandomContent(&random, 3'000'000));
  const auto run = NewRun();
  run->SetMaxRate(4'000'000);
  const auto begun_at = std::chrono::steady_clock::now();
  run->CopyCluster(kTestStartLsn);
  const auto taken = std::chrono::steady_clock::now() - begun_at;
  EXPECT_GE(taken, std::chrono::milliseconds(450));
}

}  // namespace
}  // namespace backup_ext
