// What a restore refuses: damaged backups, and manifests made to do harm. Nothing of it is left.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Changes one byte of a stored object; a negative offset counts from its end.
void FlipByte(const std::string& path, int64_t offset) {
  const uint64_t size = std::filesystem::file_size(path);
  const uint64_t place = offset < 0 ? size - static_cast<uint64_t>(-offset) : offset;
  Bytes content = ReadWholeFile(path, 1 << 30);
  content[place] ^= std::byte{0x40};
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  const FileDescriptor file = OpenFile(path, O_WRONLY | O_TRUNC);
  WriteAll(file.get(), content, path);
}

struct Damage {
  const char* name;
  std::function<void(BackupBuilder*)> build;       // before the backup is written
  std::function<void(const std::string&)> change;  // the repository, after that
  const char* expected;
};

class RestoreDamage : public RestoreTest {
 protected:
  void ExpectNothingLeft() {
    EXPECT_FALSE(StatLink(stage_));
    EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
    // Only the repository, whatever paths the manifest held.
    EXPECT_THAT(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
  }
};

ManifestEntry* Find(std::vector<ManifestEntry>* entries, const std::string& path) {
  for (ManifestEntry& entry : *entries) {
    if (entry.path == path) return &entry;
  }
  return nullptr;
}

const std::string kManifestPath = std::string("/backups/") + kTestBackupId + "/manifest";
const std::string kPackPath = std::string("/packs/") + kTestBackupId + "/0-0.pack";

void RemoveLate(BackupBuilder* backup, const std::string& path) {
  std::erase_if(backup->second, [&](const auto& entry) { return entry.path == path; });
}

TEST_F(RestoreDamage, IsNamedAndLeavesNothing) {
  const std::vector<Damage> table = {
      {"manifest, a byte",
       {},
       [](auto& root) { FlipByte(root + kManifestPath, 200); },
       "its manifest is not the one that its record names"},
      {"manifest, cut",
       {},
       [](auto& root) { ASSERT_EQ(truncate((root + kManifestPath).c_str(), 100), 0); },
       "its manifest has 100 bytes instead of"},
      {"manifest, gone",
       {},
       [](auto& root) { RemoveFile(root + kManifestPath); },
       "its manifest is missing"},
      {"pack, gone",
       {},
       [](auto& root) { RemoveFile(root + kPackPath); },
       "the pack does not exist"},
      {"pack, last frame",
       {},
       [](auto& root) { FlipByte(root + kPackPath, -20); },
       "could not restore file \"pg_wal/000000010000000000000020\""},
      {"page",
       [](BackupBuilder* backup) {
         backup->AddPages("base/1/2619", TestPage(1, 0, 'x') + TestPage(1, 7, 'y'));
       },
       {},
       "wrong checksum in block 1 of file \"base/1/2619\""},
      {"content",
       [](BackupBuilder* backup) {
         Find(&backup->first, "PG_VERSION")->content[3] ^= std::byte{1};
       },
       {},
       "could not restore file \"PG_VERSION\": its content is not what was backed up"},
      {"no label",
       [](BackupBuilder* backup) { RemoveLate(backup, "backup_label"); },
       {},
       "it holds no \"backup_label\""},
      {"no control file",
       [](BackupBuilder* backup) { RemoveLate(backup, "global/pg_control"); },
       {},
       "it holds no \"global/pg_control\""},
      {"no map of the shared relations",
       [](BackupBuilder* backup) {
         std::erase_if(backup->first, [](const ManifestEntry& entry) {
           return entry.path == "global/pg_filenode.map";
         });
       },
       {},
       "it holds no \"global/pg_filenode.map\""},
      {"broken control file",
       [](BackupBuilder* backup) {
         RemoveLate(backup, "global/pg_control");
         std::string control = TestControlFile();
         control[20] ^= 1;
         backup->AddLateFile("global/pg_control", control);
       },
       {},
       "the checksum of file \"global/pg_control\" is wrong"},
      {"another cluster's control file",
       [](BackupBuilder* backup) {
         RemoveLate(backup, "global/pg_control");
         backup->AddLateFile("global/pg_control", TestControlFile(42));
       },
       {},
       "is that of system identifier 42 instead of 7654321098765432109"},
      {"no WAL",
       [](BackupBuilder* backup) { RemoveLate(backup, "pg_wal/000000010000000000000020"); },
       {},
       "WAL segment 000000010000000000000020 is missing"},
      {"record of another size",
       [](BackupBuilder* backup) { backup->record.wal_segment_bytes = 3; },
       {},
       "its record names a WAL segment size of 3"},
  };
  for (const Damage& damage : table) {
    SCOPED_TRACE(damage.name);
    const TemporaryDirectory place;
    const std::string repository = place / "repository";
    BackupBuilder backup(repository);
    backup.AddMinimum();
    if (damage.build) damage.build(&backup);
    backup.Commit();
    if (damage.change) damage.change(repository);
    StageOptions options = Options();
    const auto error = ErrorOf([&] {
      static_cast<void>(
          RestoreToStage(backup.repository, backup.record, options, &progress_, [] {}));
    });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged);
    EXPECT_THAT(error->message(), HasSubstr(damage.expected));
    EXPECT_THAT(error->message(), HasSubstr(kTestBackupId));
    EXPECT_FALSE(error->hint().empty());
    ExpectNothingLeft();
  }
}

TEST_F(RestoreDamage, ThatTheBackupReportedItselfIsNoError) {
  backup_.AddMinimum();
  backup_.AddPages("base/1/2619", TestPage(1, 7, 'y'));
  backup_.record.state = "damaged";
  backup_.record.error = "base/1/2619, block 0";
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadText(InStage("base/1/2619")), TestPage(1, 7, 'y'));
}

TEST_F(RestoreDamage, PagesThatReplayMendsAreNotJudged) {
  backup_.AddMinimum();
  backup_.AddPages("base/1/2619", TestPage(backup_.record.start_lsn, 7, 'y'));
  backup_.AddPages("base/1/2620", std::string(kTestPageBytes, '\0'));
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_TRUE(StatLink(InStage("base/1/2620")));
}

TEST_F(RestoreDamage, HostilePathsWriteNowhere) {
  const std::string outside = directory_ / "outside";
  const std::vector<std::pair<const char*, std::string>> table = {
      {"absolute", outside},
      {"parent", "../outside"},
      {"parent below", "base/../../outside"},
      {"dot", "./outside"},
      {"empty", ""},
      {"empty part", "base//outside"},
      {"tablespace parent", "pg_tblspc/16400/../../../outside"},
      {"NUL", std::string("base/1\0/x", 9)}};
  for (const auto& [name, path] : table) {
    SCOPED_TRACE(name);
    const TemporaryDirectory place;
    BackupBuilder backup(place / "repository");
    backup.AddMinimum();
    backup.AddTablespace(16400, outside);
    backup.AddFile(path, "evil");
    std::sort(backup.first.begin(), backup.first.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    backup.CommitHostile();
    const auto error = ErrorOf([&] {
      static_cast<void>(
          RestoreToStage(backup.repository, backup.record, Options(), &progress_, [] {}));
    });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged) << error->message();
    ExpectNothingLeft();
  }
}

// A path that is sound by itself, but goes through what is no directory.
TEST_F(RestoreDamage, TwiceTheSamePathIsRefused) {
  for (const char* path : {"PG_VERSION", "PG_VERSION/below", "base", "backup_manifest/x"}) {
    SCOPED_TRACE(path);
    const TemporaryDirectory place;
    BackupBuilder backup(place / "repository");
    backup.AddMinimum();
    backup.AddLateFile(path, "again");
    backup.Commit();
    const auto error = ErrorOf([&] {
      static_cast<void>(
          RestoreToStage(backup.repository, backup.record, Options(), &progress_, [] {}));
    });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged) << error->message();
    ExpectNothingLeft();
  }
}

TEST_F(RestoreDamage, TheLinkOfATablespaceIsNeverTheOrigins) {
  backup_.AddMinimum();
  backup_.AddTablespace(16400, "/etc");
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/16400")), stage_ + ".tablespaces/16400");
}

// A link put into the stage while it is being written is not followed.
TEST_F(RestoreDamage, ALinkInTheWayIsNotFollowed) {
  backup_.AddMinimum();
  backup_.AddDirectory("zz");
  backup_.AddFile("zz/evil", "evil");
  backup_.Commit();
  const std::string outside = directory_ / "outside";
  MakeDirectory(outside);
  bool planted = false;
  static_cast<void>(ErrorOf([&] {
    static_cast<void>(Restore([&] {
      if (planted || progress_.phase != Phase::kWriting) return;
      planted = symlink(outside.c_str(), InStage("zz").c_str()) == 0;
    }));
  }));
  EXPECT_TRUE(planted);
  EXPECT_THAT(TreeOf(outside), IsEmpty());
}

TEST_F(RestoreDamage, NotEnoughSpaceIsSaidBeforeAnythingIsWritten) {
  const std::string small = directory_ / "small";
  MakeDirectory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=40m") != 0) {
    GTEST_SKIP() << "needs the right to mount";
  }
  const ScopeExit unmount([&] { static_cast<void>(umount2(small.c_str(), MNT_DETACH)); });
  stage_ = small + "/copy";
  backup_.AddMinimum();
  ManifestEntry& entry = backup_.AddFile("large", std::string(1'000'000, 'x'));
  // The same frames again and again: large to write, small to store.
  const PageMap once = entry.map;
  for (int i = 0; i < 20; ++i) {
    for (const PageRun& run : once.runs) entry.map.runs.push_back(run);
  }
  entry.size_bytes *= 21;
  backup_.Commit();
  const auto error = ErrorOf([&] { static_cast<void>(Restore()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNoSpace) << error->message();
  EXPECT_EQ(error->message(),
            "not enough space in \"" + small + "\" to restore backup " + kTestBackupId);
  EXPECT_THAT(error->detail(),
              testing::MatchesRegex("The restore needs [0-9]+ bytes; [0-9]+ bytes are free."));
  EXPECT_THAT(TreeOf(small), IsEmpty());
}

}  // namespace
}  // namespace backup_ext
