// The order of the walk, and what is in it.
#include "backup/cluster_scan.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backup/missing_tablespaces.h"

#include "backup_test_support.h"

namespace backup_ext {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

class ClusterScanTest : public BackupTest {
 protected:
  std::vector<std::string> Scan() {
    ClusterScan scan(facts);
    std::vector<std::string> paths;
    entries.clear();
    while (const auto scanned = scan.Next()) {
      paths.push_back(scanned->entry.path);
      entries[scanned->entry.path] = *scanned;
    }
    warnings = scan.TakeWarnings();
    init_forks = scan.TakeKnownInitForks();
    return paths;
  }
  void Link(const std::string& target, const std::string& path) const {
    ASSERT_EQ(symlink(target.c_str(), Disk(path).c_str()), 0);
  }
  // A tablespace's location outside the data directory, with one file of ours and one of another
  // version.
  std::string MakeLocation(const std::string& name) const {
    const std::string location = directory / name;
    const std::string ours = JoinPath(location, kTestVersionDirectory);
    std::filesystem::create_directories(JoinPath(ours, "5"));
    std::filesystem::create_directories(JoinPath(location, "PG_14_202107181/5"));
    WriteFileDurably(JoinPath(ours, "5/16400"), MakePages(2, 0x1000, 1));
    WriteFileDurably(JoinPath(location, "PG_14_202107181/5/16400"), AsBytes("other"));
    return location;
  }

  std::map<std::string, ScannedEntry> entries;
  KnownInitForks init_forks;
};

TEST_F(ClusterScanTest, AscendsByFullPath) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const std::string alphabet = "ab-.0~ \n\xFF!";
  std::vector<std::string> directories = {"x"};
  MakeClusterDirectory("x");
  for (int i = 0; i < 400; ++i) {
    std::string name = "n";
    for (size_t length = random() % 4; length > 0; --length) {
      name += alphabet[random() % alphabet.size()];
    }
    const std::string path = JoinPath(directories[random() % directories.size()], name);
    if (std::filesystem::exists(Disk(path))) continue;
    if (random() % 2 == 0) {
      MakeClusterDirectory(path);
      directories.push_back(path);
    } else {
      Write(path, "");
    }
  }
  std::vector<std::string> expected;
  const size_t prefix = facts.data_directory.size() + 1;
  for (const auto& found : std::filesystem::recursive_directory_iterator(facts.data_directory)) {
    expected.push_back(found.path().string().substr(prefix));
  }
  std::ranges::sort(expected);
  EXPECT_EQ(Scan(), expected);
}

TEST_F(ClusterScanTest, PutsNeighboursBetweenADirectoryAndItsContent) {
  for (const char* path : {"a", "a.b", "a-c", "a.b.c"}) {
    MakeClusterDirectory(fmt::format("x/{}", path));
    Write(fmt::format("x/{}/f", path), "");
  }
  Write("x/a.b-file", "");
  Write("x/a0", "");
  const auto paths = Scan();
  const auto begin = std::ranges::find(paths, "x");
  EXPECT_EQ(std::vector<std::string>(begin + 1, paths.end()),
            (std::vector<std::string>{"x/a", "x/a-c", "x/a-c/f", "x/a.b", "x/a.b-file", "x/a.b.c",
                                      "x/a.b.c/f", "x/a.b/f", "x/a/f", "x/a0"}));
}

TEST_F(ClusterScanTest, LeavesOutWhatTheServerMakesAnew) {
  MakeClusterDirectory("pg_replslot/slot");
  MakeClusterDirectory("pg_stat_tmp");
  MakeClusterDirectory("base/pgsql_tmp");
  MakeClusterDirectory("pg_wal/summaries");
  for (const char* path :
       {"pg_replslot/slot/state", "pg_stat_tmp/global.stat", "base/pgsql_tmp/pgsql_tmp1.0",
        "pg_wal/000000010000000000000001", "pg_wal/archive_status/000000010000000000000001.done",
        "pg_wal/summaries/x.summary", "postmaster.pid", "backup_label", "global/pg_control",
        "base/5/pg_internal.init", "base/5/t3_16384", "base/5/t3_16384_vm.1"}) {
    Write(path, "x");
  }
  EXPECT_THAT(Scan(), ElementsAre("PG_VERSION", "base", "base/5", "global", "pg_replslot",
                                  "pg_stat_tmp", "pg_tblspc", "pg_wal", "pg_wal/archive_status",
                                  "pg_wal/summaries", "pg_xact"));
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(ClusterScanTest, LeavesOutUnloggedRelations) {
  for (const char* name : {"16384", "16384.1", "16384_fsm", "16384_vm", "16384_init", "16385",
                           "163840", "16386_init"}) {
    Write(fmt::format("base/5/{}", name), "");
    Write(fmt::format("global/{}", name), "");
  }
  const auto paths = Scan();
  EXPECT_THAT(
      paths, ElementsAre("PG_VERSION", "base", "base/5", "base/5/163840", "base/5/16384_init",
                         "base/5/16385", "base/5/16386_init", "global", "global/16384",
                         "global/16384.1", "global/163840", "global/16384_fsm", "global/16384_init",
                         "global/16384_vm", "global/16385", "global/16386_init", "pg_tblspc",
                         "pg_wal", "pg_wal/archive_status", "pg_xact"));
  EXPECT_EQ(init_forks.at("base/5"), (InitForks{16384, 16386}));
}

TEST_F(ClusterScanTest, WalksOnlyOurVersionOfATablespace) {
  Link(MakeLocation("elsewhere"), "pg_tblspc/16399");
  const auto paths = Scan();
  const std::string inside = fmt::format("pg_tblspc/16399/{}", kTestVersionDirectory);
  const auto begin = std::ranges::find(paths, "pg_tblspc");
  EXPECT_EQ(std::vector<std::string>(begin, begin + 5),
            (std::vector<std::string>{"pg_tblspc", "pg_tblspc/16399", inside, inside + "/5",
                                      inside + "/5/16400"}));
  const ScannedEntry& link = entries.at("pg_tblspc/16399");
  EXPECT_EQ(link.entry.kind, EntryKind::kTablespaceLink);
  EXPECT_EQ(link.entry.link_target, directory / "elsewhere");
  EXPECT_EQ(entries.at(inside).entry.kind, EntryKind::kDirectory);
  EXPECT_TRUE(entries.at(inside + "/5/16400").relation.has_value());
  EXPECT_EQ(entries.at(inside + "/5/16400").database_oid, 5U);
  EXPECT_TRUE(init_forks.contains(inside + "/5"));
}

TEST_F(ClusterScanTest, MakesRelativeTargetsAbsolute) {
  MakeLocation("elsewhere");
  Link("../../elsewhere", "pg_tblspc/16399");
  (void)Scan();
  EXPECT_EQ(entries.at("pg_tblspc/16399").entry.link_target, directory / "elsewhere");
  EXPECT_TRUE(entries.contains(fmt::format("pg_tblspc/16399/{}/5/16400", kTestVersionDirectory)));
}

TEST_F(ClusterScanTest, CopiesATablespaceInsideTheDataDirectoryOnce) {
  MakeLocation("data/inside");
  Link(Disk("inside"), "pg_tblspc/16399");
  const auto paths = Scan();
  EXPECT_THAT(paths, Contains("inside"));
  EXPECT_THAT(paths, Not(Contains(fmt::format("inside/{}", kTestVersionDirectory))));
  EXPECT_THAT(paths, Contains(fmt::format("pg_tblspc/16399/{}/5/16400", kTestVersionDirectory)));
}

TEST_F(ClusterScanTest, TreatsInPlaceTablespacesAsDirectories) {
  const std::string database = fmt::format("pg_tblspc/16399/{}/5", kTestVersionDirectory);
  MakeClusterDirectory(database);
  Write(database + "/16400", MakePages(1, 0x1000, 1));
  (void)Scan();
  EXPECT_EQ(entries.at("pg_tblspc/16399").entry.kind, EntryKind::kDirectory);
  EXPECT_TRUE(entries.at(database + "/16400").relation.has_value());
}

TEST_F(ClusterScanTest, ATablespaceThatIsNotThereEndsIt) {
  std::filesystem::create_directories(directory / "mount_point");
  WriteFileDurably(directory / "file", AsBytes("x"));
  for (const std::string& target :
       {std::string("/nonexistent/location"), directory / "mount_point", directory / "file"}) {
    SCOPED_TRACE(target);
    Link(target, "pg_tblspc/16399");
    try {
      (void)Scan();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotInPrerequisiteState);
      EXPECT_EQ(
          error.message(),
          fmt::format("cannot back up tablespace 16399: there is no tablespace in \"{}\"", target));
      EXPECT_THAT(error.hint(), testing::HasSubstr("mounted"));
    }
    RemoveFile(Disk("pg_tblspc/16399"));
  }
}

TEST_F(ClusterScanTest, ATablespaceThatIsNotThereIsSeenBeforehand) {
  const auto nothing = [] {};
  Link(directory / "mount_point", "pg_tblspc/16399");
  MakeClusterDirectory("pg_tblspc/16400/" + std::string(kTestVersionDirectory));
  MakeClusterDirectory("pg_tblspc/no_oid");
  EXPECT_THROW(CheckTablespacesAreThere(facts, nothing), Error);
  // DROP TABLESPACE comes to its end.
  CheckTablespacesAreThere(facts, [&] { RemoveFile(Disk("pg_tblspc/16399")); });
  // CREATE TABLESPACE does, on a standby: the directory of the version is made after the link.
  Link(directory / "mount_point", "pg_tblspc/16399");
  CheckTablespacesAreThere(facts, [&] {
    std::filesystem::create_directories(
        fmt::format("{}/mount_point/{}", directory.path(), kTestVersionDirectory));
  });
  CheckTablespacesAreThere(facts, [] { ADD_FAILURE() << "nothing is missing"; });
}

// DROP TABLESPACE removes what is in it first, then the link.
TEST_F(ClusterScanTest, ATablespaceThatIsBeingDroppedIsPassedOver) {
  Link("/nonexistent/location", "pg_tblspc/16399");
  ClusterScan scan(facts);
  std::vector<std::string> paths;
  while (const auto scanned = scan.Next()) {
    paths.push_back(scanned->entry.path);
    // After pg_tblspc.
    if (scanned->entry.path == "pg_wal") RemoveFile(Disk("pg_tblspc/16399"));
  }
  EXPECT_THAT(paths, Contains("pg_wal"));
  EXPECT_THAT(paths, Not(Contains("pg_tblspc/16399")));
}

// It was passed over: that it is there again does not put it into the backup.
TEST_F(ClusterScanTest, ATablespaceThatComesBackMeanwhileEndsItToo) {
  Link(directory / "elsewhere", "pg_tblspc/16399");
  ClusterScan scan(facts);
  EXPECT_THROW(
      while (const auto scanned = scan.Next()) {
        if (scanned->entry.path == "pg_wal") MakeLocation("elsewhere");
      },
      Error);
}

TEST_F(ClusterScanTest, TurnsALinkedWalDirectoryIntoADirectory) {
  std::filesystem::remove_all(Disk("pg_wal"));
  std::filesystem::create_directories(directory / "wal/archive_status");
  WriteFileDurably(directory / "wal/000000010000000000000001", AsBytes("x"));
  ASSERT_EQ(chmod((directory / "wal").c_str(), 0750), 0);
  Link(directory / "wal", "pg_wal");
  Link("/nonexistent", "pg_stat_tmp");
  const auto paths = Scan();
  EXPECT_EQ(entries.at("pg_wal").entry.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries.at("pg_wal").entry.mode, 0750U);
  EXPECT_EQ(entries.at("pg_wal/archive_status").entry.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries.at("pg_stat_tmp").entry.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries.at("pg_stat_tmp").entry.mode, 0700U);
  EXPECT_THAT(paths, Not(Contains("pg_wal/000000010000000000000001")));
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(ClusterScanTest, WarnsOfSpecialFilesAndOtherLinks) {
  ASSERT_EQ(mkfifo(Disk("base/pipe").c_str(), 0600), 0);
  std::filesystem::create_directories(directory / "logs");
  Link(directory / "logs", "log");
  Link("/nonexistent/postgresql.conf", "pg_hba.conf");
  Link("../PG_VERSION", "global/some.conf");
  const auto paths = Scan();
  EXPECT_THAT(warnings, testing::UnorderedElementsAre(
                            "skipping special file \"base/pipe\"", "skipping special file \"log\"",
                            "skipping special file \"pg_hba.conf\"",
                            "skipping special file \"global/some.conf\""));
  EXPECT_THAT(paths, Not(Contains("log")));
}

// Somebody moved data elsewhere and left a link: a backup without it would look complete.
TEST_F(ClusterScanTest, RefusesLinksWhereDataMustBe) {
  std::filesystem::create_directories(directory / "elsewhere/7");
  WriteFileDurably(directory / "elsewhere/16999", MakePages(1, 0x1000, 1));
  for (const char* path : {"base/7", "base/5/16999", "base/5/16999_vm", "pg_xact", "pg_multixact",
                           "pg_tblspc", "base/5/pg_filenode.map"}) {
    const std::string disk_path = Disk(path);
    std::filesystem::remove_all(disk_path);
    std::filesystem::create_directories(ParentDirectory(disk_path));
    Link(directory / "elsewhere/7", path);
    try {
      (void)Scan();
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotInPrerequisiteState) << error.message();
      EXPECT_THAT(error.message(), testing::HasSubstr(path));
    }
    ASSERT_EQ(unlink(disk_path.c_str()), 0);
  }
}

TEST_F(ClusterScanTest, FollowsALinkedConfigurationFile) {
  WriteFileDurably(directory / "elsewhere.conf", AsBytes("port = 5433\n"));
  Link("../elsewhere.conf", "postgresql.conf");
  (void)Scan();
  EXPECT_TRUE(entries.at("postgresql.conf").follows_link);
  const StoredBackup backup = Backup();
  EXPECT_EQ(AsText(backup.At("postgresql.conf").content), "port = 5433\n");
  EXPECT_EQ(backup.At("postgresql.conf").entry.kind, EntryKind::kFile);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(ClusterScanTest, WarnsOfAConfigurationFileThatItCannotRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  WriteFileDurably(directory / "elsewhere.conf", AsBytes("x"), 0000);
  Link("../elsewhere.conf", "postgresql.conf");
  EXPECT_FALSE(Backup().Has("postgresql.conf"));
  EXPECT_THAT(warnings, ElementsAre(testing::HasSubstr("Permission denied")));
}

TEST_F(ClusterScanTest, PassesOverWhatVanishes) {
  for (const char* path : {"base/16400", "base/16401", "base/16402"}) {
    MakeClusterDirectory(path);
    Write(fmt::format("{}/16384", path), "");
  }
  ClusterScan scan(facts);
  std::vector<std::string> paths;
  while (const auto scanned = scan.Next()) {
    paths.push_back(scanned->entry.path);
    if (paths.back() == "base/16400") std::filesystem::remove_all(Disk("base/16400"));
    if (paths.back() == "base/16402") std::filesystem::remove(Disk("base/16402/16384"));
  }
  // The listing of base is older than the removals.
  EXPECT_THAT(paths, Contains("base/16400"));
  EXPECT_THAT(paths, Not(Contains("base/16400/16384")));
  EXPECT_THAT(paths, Contains("base/16401/16384"));
  EXPECT_THAT(paths, Not(Contains("base/16402/16384")));
}

TEST_F(ClusterScanTest, RecordsTablespacesWithTheirSize) {
  Link(MakeLocation("elsewhere"), "pg_tblspc/16399");
  Link(MakeLocation("data/inside"), "pg_tblspc/999");
  const StoredBackup backup = Backup();
  ASSERT_EQ(record.tablespaces.size(), 2U);
  EXPECT_EQ(record.tablespaces[0],
            (TablespaceRecord{16399, directory / "elsewhere", 2 * kTestPageBytes}));
  EXPECT_EQ(record.tablespaces[1], (TablespaceRecord{999, Disk("inside"), 2 * kTestPageBytes}));
}

}  // namespace
}  // namespace backup_ext
