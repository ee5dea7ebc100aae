// The tablespaces in the WAL of a backup.
#include "restore/replayed_tablespaces.h"
#include "base/lsn.h"

#include "cluster/wal_builder.h"
#include "restore/export_run.h"
#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

constexpr const char* kFirst = "000000010000000000000020";
constexpr const char* kSecond = "000000010000000000000021";

class ReplayedTablespacesTest : public RestoreTest {
 protected:
  ReplayedTablespacesTest() {
    backup_.AddMinimum();
    backup_.second.pop_back();  // its WAL
  }
  // A backup with this WAL, up to here.
  void Commit() {
    backup_.record.stop_lsn = wal_.position();
    backup_.record.wal_ranges = {{1, backup_.record.start_lsn, backup_.record.stop_lsn}};
    backup_.AddLateFile(std::string("pg_wal/") + kFirst, wal_.Segment(0x20), FileKind::kWal);
    if (wal_.position() > 0x2100000) {
      backup_.AddLateFile(std::string("pg_wal/") + kSecond, wal_.Segment(0x21), FileKind::kWal);
    }
    backup_.Commit();
  }
  std::string Staged(const char* name) { return ReadText(InStage(std::string("pg_wal/") + name)); }

  WalBuilder wal_{0x2000028, kTestWalSegmentBytes, 1, kTestSystemIdentifier};
};

TEST_F(ReplayedTablespacesTest, LoseTheirDirectoryAndNothingElse) {
  WalBuilder expected{0x2000028, kTestWalSegmentBytes, 1, kTestSystemIdentifier};
  const std::string directory = "/srv/postgresql/fast disks";
  for (WalBuilder* wal : {&wal_, &expected}) {
    const std::string named = wal == &wal_ ? directory : std::string(directory.size(), '\0');
    const std::string long_name = wal == &wal_ ? std::string(900, 'd') : std::string(900, '\0');
    wal->Add(10, 0, "a record of another kind /srv/postgresql/fast disks");
    wal->AddTablespace(16400, named);
    wal->FillTo(0x2002000 - 40);  // the next one crosses a page
    wal->AddTablespace(16401, named);
    wal->Add(kTablespaceResourceManager, 0x10, std::string("\x11\x40\0\0", 4));  // DROP
    wal->FillTo(0x2100000 - 600);  // and this one a segment
    wal->AddTablespace(16402, long_name);
    wal->AddTablespace(16403, "");
    wal->Add(10, 0, "the last");
  }
  Commit();
  static_cast<void>(Restore());
  EXPECT_TRUE(Staged(kFirst) == expected.Segment(0x20));
  EXPECT_TRUE(Staged(kSecond) == expected.Segment(0x21));
  // For the one without a directory.
  EXPECT_FALSE(StatLink(InStage("pg_tblspc/16403")));
  EXPECT_THAT(ReadText(InStage("postgresql.auto.conf")),
              HasSubstr("allow_in_place_tablespaces = 'on'\n"));
}

TEST_F(ReplayedTablespacesTest, WithoutThemWalStaysAsItWas) {
  wal_.Add(10, 0, "one");
  wal_.Add(kTablespaceResourceManager, 0x10, std::string("\x11\x40\0\0", 4));
  Commit();
  static_cast<void>(Restore());
  EXPECT_TRUE(Staged(kFirst) == wal_.Segment(0x20));
  EXPECT_EQ(ReadText(InStage("postgresql.auto.conf")).find("allow_in_place"), std::string::npos);
}

TEST_F(ReplayedTablespacesTest, GetALinkIntoTheStage) {
  for (const uint32_t oid : {16400, 16401, 16400}) wal_.AddTablespace(oid, "/srv/postgresql");
  Commit();
  static_cast<void>(Restore());
  std::string map;
  for (const std::string oid : {"16400", "16401"}) {
    const std::string target = stage_ + ".tablespaces/" + oid;
    EXPECT_EQ(ReadLink(InStage("pg_tblspc/" + oid)), target);
    EXPECT_TRUE(S_ISDIR(StatLink(target)->st_mode));
    map += oid + " " + target + "\n";
  }
  EXPECT_EQ(ReadText(InStage("tablespace_map")), map);
  EXPECT_EQ(ReadText(stage_ + ".tablespaces/backup_ext_stage/stage.json"),
            ReadText(InStage("backup_ext_stage/stage.json")));
  EXPECT_EQ(ReadText(InStage("postgresql.auto.conf")).find("allow_in_place"), std::string::npos);
}

TEST_F(ReplayedTablespacesTest, OnesThatWereCopiedTooKeepTheirPlace) {
  backup_.AddTablespace(16400, "/srv/postgresql");
  wal_.AddTablespace(16400, "/srv/postgresql");
  wal_.AddTablespace(16401, "/srv/postgresql");
  Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/16400")), stage_ + ".tablespaces/16400");
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/16401")), stage_ + ".tablespaces/16401");
}

TEST_F(ReplayedTablespacesTest, AFailedRestoreLeavesNothingOfThem) {
  backup_.AddDirectory("pg_tblspc/16400");  // in the place of the link
  wal_.AddTablespace(16400, "/srv/postgresql");
  Commit();
  const auto error = ErrorOf([&] { static_cast<void>(Restore()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists);
  EXPECT_FALSE(StatLink(stage_));
  EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
}

TEST_F(ReplayedTablespacesTest, ARecordThatCannotBeUnderstoodIsDamage) {
  wal_.Add(kTablespaceResourceManager, 0, std::string("\x11\x40\0\0", 4));
  Commit();
  const auto error = ErrorOf([&] { static_cast<void>(Restore()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kDamaged);
  EXPECT_THAT(error->message(), HasSubstr("of a new tablespace cannot be understood"));
}

TEST_F(ReplayedTablespacesTest, WalThatEndsTooEarlyIsDamage) {
  wal_.Add(10, 0, "one");
  const uint64_t end = wal_.position();
  backup_.record.stop_lsn = end + 8;
  backup_.record.wal_ranges = {{1, backup_.record.start_lsn, end + 8}};
  backup_.AddLateFile(std::string("pg_wal/") + kFirst, wal_.Segment(0x20), FileKind::kWal);
  backup_.Commit();
  const auto error = ErrorOf([&] { static_cast<void>(Restore()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kDamaged);
  EXPECT_THAT(error->message(), HasSubstr(fmt::format("its WAL ends at {} instead of {}",
                                                      FormatLsn(end), FormatLsn(end + 8))));
  EXPECT_FALSE(StatLink(stage_));
}

TEST_F(ReplayedTablespacesTest, OfTwoTimelinesBothSegmentsAreChanged) {
  WalBuilder newer{0x2000028, kTestWalSegmentBytes, 2, kTestSystemIdentifier};
  for (WalBuilder* wal : {&wal_, &newer}) wal->AddTablespace(16400, "/srv/postgresql");
  backup_.record.timeline = 2;
  backup_.record.stop_lsn = newer.position();
  backup_.record.wal_ranges = {{2, 0x2000050, newer.position()}, {1, 0x2000028, 0x2000050}};
  backup_.AddLateFile("pg_wal/00000002.history", "1\t0/2000050\tx\n");
  backup_.AddLateFile(std::string("pg_wal/") + kFirst, wal_.Segment(0x20), FileKind::kWal);
  backup_.AddLateFile("pg_wal/000000020000000000000020", newer.Segment(0x20), FileKind::kWal);
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(Staged("000000020000000000000020").find("/srv/postgresql"), std::string::npos);
  EXPECT_EQ(Staged(kFirst).find("/srv/postgresql"), std::string::npos);
}

// WAL behind the end of the backup is cut off, so what it would make does not count.
TEST_F(ReplayedTablespacesTest, KeepABackupFromBeingExportedAsTar) {
  const auto export_as_tar = [this] {
    ExportOptions options;
    options.directory = stage_;
    options.format = ExportFormat::kTar;
    return ErrorOf([&] {
      (void)ExportBackup(backup_.repository, backup_.record, options, &progress_, [] {});
    });
  };
  wal_.Add(10, 0, "one");
  backup_.record.stop_lsn = wal_.position();
  backup_.record.wal_ranges = {{1, backup_.record.start_lsn, backup_.record.stop_lsn}};
  wal_.AddTablespace(16400, "/srv/postgresql");
  const uint64_t behind = wal_.position();
  backup_.AddLateFile(std::string("pg_wal/") + kFirst, wal_.Segment(0x20), FileKind::kWal);
  backup_.Commit();
  EXPECT_FALSE(export_as_tar());
  RemoveTree(stage_);

  backup_.record.stop_lsn = behind;
  backup_.record.wal_ranges = {{1, backup_.record.start_lsn, behind}};
  const auto error = export_as_tar();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_THAT(error->message(), HasSubstr("as tar: tablespace 16400 was created"));
  EXPECT_FALSE(StatLink(stage_));
}

}  // namespace
}  // namespace backup_ext
