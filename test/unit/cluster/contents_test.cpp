// What pg_basebackup leaves out, and what it does not.
#include "cluster/contents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backup_ext {
namespace {

TEST(Contents, EmptiesWhatAServerMakesAnew) {
  for (const std::string_view path : {"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify",
                                      "pg_serial", "pg_snapshots", "pg_subtrans", "pg_wal"}) {
    EXPECT_EQ(RuleForDirectory(path), PathRule::kEmptyDirectory) << path;
    const std::string below = std::string(path) + "/x";
    EXPECT_EQ(RuleForDirectory(below), PathRule::kExclude) << below;
    EXPECT_EQ(RuleForDirectory(below + "/y"), PathRule::kExclude) << below;
    EXPECT_EQ(RuleForFile(below), PathRule::kExclude) << below;
    EXPECT_EQ(RuleForFile(below + "/y"), PathRule::kExclude) << below;
  }
}

TEST(Contents, EmptiesAtTheTopLevelOnly) {
  for (const std::string_view path : {"pg_tblspc/pg_notify", "base/pg_wal", "log/pg_replslot",
                                      "my_extension/pg_stat_tmp", "pg_walx", "xpg_wal"}) {
    EXPECT_EQ(RuleForDirectory(path), PathRule::kInclude) << path;
    EXPECT_EQ(RuleForFile(std::string(path) + "/file"), PathRule::kInclude) << path;
  }
}

TEST(Contents, IncludesTheOtherDirectories) {
  for (const std::string_view path :
       {"", "base", "base/1", "global", "pg_commit_ts", "pg_logical", "pg_logical/snapshots",
        "pg_multixact", "pg_multixact/offsets", "pg_stat", "pg_tblspc", "pg_twophase", "pg_xact",
        "log", "pg_tblspc/16385/PG_15_202209061/5"}) {
    EXPECT_EQ(RuleForDirectory(path), PathRule::kInclude) << path;
  }
}

TEST(Contents, ExcludesTemporaryFilesAndDirectories) {
  for (const std::string_view path :
       {"base/pgsql_tmp", "pgsql_tmp", "base/5/pgsql_tmp.old",
        "base/pgsql_tmp/pgsql_tmp77.0.fileset", "pg_tblspc/16385/PG_15_202209061/pgsql_tmp"}) {
    EXPECT_EQ(RuleForDirectory(path), PathRule::kExclude) << path;
    EXPECT_EQ(RuleForFile(std::string(path) + "/any"), PathRule::kExclude) << path;
  }
  EXPECT_EQ(RuleForFile("base/5/pgsql_tmp123.4"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("base/5/my_pgsql_tmp"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("base/5/pgsql_tm"), PathRule::kInclude);
}

TEST(Contents, ExcludesTheServersListOfFilesAtAnyDepth) {
  for (const std::string_view name :
       {"postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label", "tablespace_map",
        "backup_manifest", "postmaster.pid", "postmaster.opts", ".DS_Store", "pg_internal.init",
        "pg_internal.init.12345"}) {
    EXPECT_EQ(RuleForFile(name), PathRule::kExclude) << name;
    EXPECT_EQ(RuleForFile("base/5/" + std::string(name)), PathRule::kExclude) << name;
  }
  EXPECT_EQ(RuleForDirectory("base/.DS_Store"), PathRule::kExclude);
}

TEST(Contents, IncludesFilesWithNamesNearlyExcluded) {
  for (const std::string_view path : {"postgresql.auto.conf",
                                      "postgresql.conf",
                                      "current_logfiles",
                                      "backup_label.old",
                                      "tablespace_map.old",
                                      "backup_manifest.1",
                                      "postmaster.pid.bak",
                                      "pg_hba.conf",
                                      "PG_VERSION",
                                      "global/pg_filenode.map",
                                      "base/5/pg_filenode.map",
                                      "base/5/PG_VERSION",
                                      "pg_xact/0000",
                                      "global/1262",
                                      "base/5/16384",
                                      "standby.signal",
                                      "recovery.signal",
                                      "pg_control",
                                      "base/5/pg_control",
                                      "global/pg_control.old",
                                      "log/postgresql.log"}) {
    EXPECT_EQ(RuleForFile(path), PathRule::kInclude) << path;
  }
}

TEST(Contents, LeavesTheControlFileForLast) {
  EXPECT_EQ(RuleForFile("global/pg_control"), PathRule::kExclude);
}

TEST(Contents, ExcludesTemporaryRelationsOfDatabasesOnly) {
  EXPECT_EQ(RuleForFile("base/5/t3_16384"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("base/5/t3_16384_vm.1"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("pg_tblspc/16385/PG_15_202209061/5/t3_16384"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("global/t3_16384"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("t3_16384"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("log/t3_16384"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("base/5/t3_16384x"), PathRule::kInclude);
}

TEST(Contents, LeavesUnloggedRelationsToTheScan) {
  EXPECT_EQ(RuleForFile("base/5/16384"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("base/5/16384_init"), PathRule::kInclude);
}

TEST(Contents, ExcludesOurOwnState) {
  EXPECT_EQ(RuleForDirectory("backup_ext"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("backup_ext/anything"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("backup_ext.state"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("backup_ext.state.0123456789abcdef.tmp"), PathRule::kExclude);
  EXPECT_EQ(RuleForFile("backup_ext.state.old"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("log/backup_ext.state"), PathRule::kInclude);
  EXPECT_EQ(RuleForDirectory("log/backup_ext"), PathRule::kInclude);
  EXPECT_EQ(RuleForDirectory("backup_extra"), PathRule::kInclude);
  EXPECT_EQ(RuleForFile("backup_ext.conf"), PathRule::kInclude);
}

TEST(Contents, WalDirectoriesDependOnTheVersion) {
  using testing::ElementsAre;
  EXPECT_THAT(WalDirectoriesToMake(150020), ElementsAre("pg_wal", "pg_wal/archive_status"));
  EXPECT_THAT(WalDirectoriesToMake(160099), ElementsAre("pg_wal", "pg_wal/archive_status"));
  EXPECT_THAT(WalDirectoriesToMake(170000),
              ElementsAre("pg_wal", "pg_wal/archive_status", "pg_wal/summaries"));
  EXPECT_THAT(WalDirectoriesToMake(190001),
              ElementsAre("pg_wal", "pg_wal/archive_status", "pg_wal/summaries"));
}

}  // namespace
}  // namespace backup_ext
