#include "restore/export_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ExportTest : public RestoreTest {
 protected:
  ExportOptions OptionsOf(ExportFormat format) {
    ExportOptions options;
    options.directory = stage_;
    options.format = format;
    options.threads = 2;
    options.forbidden = {directory_ / "repository"};
    return options;
  }
  ExportResult Export(
      ExportFormat format, const std::function<void()>& pause_point = [] {}) {
    return ExportBackup(backup_.repository, backup_.record, OptionsOf(format), &progress_,
                        pause_point);
  }
  void Unpack(const std::string& archive, const std::string& directory) {
    MakeDirectories(directory);
    const std::string command = "tar -xf '" + archive + "' --no-same-owner -C '" + directory + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
};

constexpr const char* kAutoConf = "# by hand\nwork_mem = '8MB'\nport = 1111\n";

TEST_F(ExportTest, PlainIsTheDataDirectoryAndNothingElse) {
  backup_.AddMinimum();
  backup_.Commit();
  const ExportResult result = Export(ExportFormat::kPlain);

  EXPECT_THAT(
      TreeOf(stage_),
      ElementsAre("PG_VERSION", "backup_label", "backup_manifest", "base/", "base/1/",
                  "base/1/1259", "global/", "global/pg_control", "global/pg_filenode.map",
                  "pg_tblspc/", "pg_wal/", "pg_wal/000000010000000000000020",
                  "pg_wal/archive_status/", "pg_wal/archive_status/000000010000000000000020.done",
                  "postgresql.auto.conf", "postgresql.conf"));
  EXPECT_EQ(ReadText(InStage("postgresql.auto.conf")), kAutoConf);
  EXPECT_EQ(ReadText(InStage("postgresql.conf")), "max_connections = 42\n");
  EXPECT_EQ(ReadText(InStage("global/pg_control")), TestControlFile());
  EXPECT_EQ(result.files, progress_.files_total);
  EXPECT_EQ(result.bytes, progress_.bytes_total);
}

TEST_F(ExportTest, TarHoldsWhatPlainHolds) {
  backup_.AddMinimum();
  backup_.AddTablespace(1001, "/srv/fast");
  backup_.AddDirectory("pg_tblspc/1001/PG_15_202209061");
  backup_.AddPages("pg_tblspc/1001/PG_15_202209061/5", TestPage(100, 0, 'p'));
  backup_.Commit();
  const ExportResult result = Export(ExportFormat::kTar);

  EXPECT_THAT(TreeOf(stage_), ElementsAre("1001.tar", "backup_manifest", "base.tar", "pg_wal.tar"));
  ASSERT_EQ(result.tablespaces.size(), 1U);
  EXPECT_EQ(result.tablespaces[0].directory, "/srv/fast");
  const std::string unpacked = directory_ / "unpacked";
  Unpack(stage_ + "/base.tar", unpacked);
  EXPECT_EQ(ReadText(unpacked + "/tablespace_map"), "1001 /srv/fast\n");
  Unpack(stage_ + "/pg_wal.tar", unpacked + "/pg_wal");
  Unpack(stage_ + "/1001.tar", unpacked + "/fast");
  EXPECT_EQ(ReadText(unpacked + "/fast/PG_15_202209061/5"), TestPage(100, 0, 'p'));
  EXPECT_EQ(ReadText(unpacked + "/postgresql.auto.conf"), kAutoConf);
  const std::string wal = TestWal();
  EXPECT_EQ(ReadText(unpacked + "/pg_wal/000000010000000000000020").size(), wal.size());

  stage_ = directory_ / "plain";
  (void)Export(ExportFormat::kPlain);
  for (const char* path : {"PG_VERSION", "base/1/1259", "backup_label", "global/pg_control",
                           "pg_wal/000000010000000000000020", "postgresql.conf"}) {
    EXPECT_EQ(ReadText(unpacked + "/" + path), ReadText(InStage(path))) << path;
  }
}

TEST_F(ExportTest, OneStreamHoldsWalAndManifest) {
  backup_.AddMinimum();
  backup_.Commit();
  std::string archive;
  (void)ExportToStream(
      backup_.repository, backup_.record, [&](ByteSpan bytes) { archive += AsText(bytes); },
      &progress_, [] {});
  WriteFileDurably(directory_ / "archive", AsBytes(archive));
  Unpack(directory_ / "archive", directory_ / "unpacked");
  EXPECT_THAT(TreeOf(directory_ / "unpacked"), Contains("backup_manifest"));
  EXPECT_THAT(TreeOf(directory_ / "unpacked"), Contains("pg_wal/000000010000000000000020"));
}

TEST_F(ExportTest, AStreamHasNoPlaceForTablespaces) {
  backup_.AddMinimum();
  backup_.AddTablespace(1001, "/srv/fast");
  backup_.Commit();
  std::string archive;
  const auto error = ErrorOf([&] {
    (void)ExportToStream(
        backup_.repository, backup_.record, [&](ByteSpan bytes) { archive += AsText(bytes); },
        &progress_, [] {});
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_EQ(archive, "");
}

TEST_F(ExportTest, TablespacesGoWhereTheyAreMapped) {
  backup_.AddMinimum();
  backup_.AddTablespace(1001, "/srv/fast");
  backup_.AddTablespace(1002, "/srv/slow");
  backup_.AddPages("pg_tblspc/1001/PG_15_202209061/5", TestPage(100, 0, 'p'));
  backup_.AddPages("pg_tblspc/1002/PG_15_202209061/6", TestPage(100, 0, 'q'));
  backup_.Commit();
  ExportOptions options = OptionsOf(ExportFormat::kPlain);
  options.mapping = {{"/srv/fast", directory_ / "fast"}};
  (void)ExportBackup(backup_.repository, backup_.record, options, &progress_, [] {});

  EXPECT_THAT(TreeOf(directory_ / "fast"), ElementsAre("PG_15_202209061/", "PG_15_202209061/5"));
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/1001")), directory_ / "fast");
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/1002")), stage_ + ".tablespaces/1002");
  EXPECT_THAT(TreeOf(stage_ + ".tablespaces"),
              ElementsAre("1002/", "1002/PG_15_202209061/", "1002/PG_15_202209061/6"));
}

TEST_F(ExportTest, FilesFromOutsideAreAddedWhereTheDataDirectoryHasNone) {
  backup_.AddMinimum();
  std::erase_if(backup_.first,
                [](const ManifestEntry& entry) { return entry.path == "postgresql.conf"; });
  backup_.AddFile("pg_ident.conf", "its own\n");
  backup_.record.settings = {{"work_mem", "8192"}, {"hba_file", "/etc/postgresql/my_hba"}};
  backup_.AddConfiguration("configuration/1", "/etc/postgresql/my_hba", "local all all peer\n");
  backup_.AddConfiguration("configuration/2", "/etc/postgresql/pg_ident.conf", "another\n");
  backup_.AddConfiguration("configuration/3", "/etc/postgresql/postgresql.conf",
                           "work_mem = 8MB\n");
  backup_.Commit();
  const auto check = [](const std::string& directory) {
    EXPECT_EQ(ReadText(directory + "/pg_hba.conf"), "local all all peer\n");
    EXPECT_EQ(ReadText(directory + "/pg_ident.conf"), "its own\n");
    EXPECT_THAT(ReadText(directory + "/postgresql.conf"), HasSubstr("work_mem = '8192'"));
    EXPECT_THAT(TreeOf(directory), Not(Contains(HasSubstr("backup_ext"))));
  };
  (void)Export(ExportFormat::kPlain);
  check(stage_);
  stage_ = directory_ / "tar";
  (void)Export(ExportFormat::kTar);
  Unpack(stage_ + "/base.tar", directory_ / "unpacked");
  check(directory_ / "unpacked");
}

TEST_F(ExportTest, AStandbysBackupStaysAStandby) {
  backup_.AddMinimum();
  backup_.record.from_standby = true;
  backup_.Commit();
  (void)Export(ExportFormat::kPlain);
  EXPECT_EQ(ReadText(InStage("standby.signal")), "");
}

TEST_F(ExportTest, WhatFailsOrIsCancelledLeavesNothing) {
  backup_.AddMinimum();
  backup_.AddTablespace(1001, "/srv/fast");
  backup_.AddPages("pg_tblspc/1001/PG_15_202209061/5", TestPage(100, 0, 'p'));
  backup_.first.back().map.frames.front().digest ^= 1;
  backup_.Commit();
  for (const ExportFormat format : {ExportFormat::kPlain, ExportFormat::kTar}) {
    const auto error = ErrorOf([&] { (void)Export(format); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged);
    EXPECT_THAT(error->message(), HasSubstr("pg_tblspc/1001/PG_15_202209061/5"));
    EXPECT_FALSE(StatLink(stage_));
    EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
    // A directory that was there stays, empty.
    MakeDirectory(stage_);
    EXPECT_TRUE(ErrorOf([&] { (void)Export(format); }));
    EXPECT_THAT(TreeOf(stage_), ElementsAre());
    RemoveTree(stage_);
  }
}

TEST_F(ExportTest, AFileInThePlaceOfATablespaceIsDamage) {
  backup_.AddMinimum();
  backup_.AddTablespace(1001, "/srv/fast");
  backup_.AddLateFile("pg_tblspc/1001", "a file");
  backup_.Commit();
  for (const ExportFormat format : {ExportFormat::kPlain, ExportFormat::kTar}) {
    const auto error = ErrorOf([&] { (void)Export(format); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged);
    EXPECT_THAT(error->message(), HasSubstr("is not the path of a file"));
    EXPECT_FALSE(StatLink(stage_));
  }
}

TEST_F(ExportTest, NeverWritesOverAnything) {
  backup_.AddMinimum();
  backup_.Commit();
  MakeDirectory(stage_);
  WriteFileDurably(InStage("precious"), AsBytes(std::string_view("x")));
  for (const ExportFormat format : {ExportFormat::kPlain, ExportFormat::kTar}) {
    const auto error = ErrorOf([&] { (void)Export(format); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists);
    EXPECT_THAT(TreeOf(stage_), ElementsAre("precious"));
  }
}

}  // namespace
}  // namespace backup_ext
