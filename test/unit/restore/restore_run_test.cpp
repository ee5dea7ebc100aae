// A staged restore, from the store to the directory.
#include "restore/restore_run.h"

#include <sys/stat.h>
#include <unistd.h>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

uint32_t ModeOf(const std::string& path) { return StatLink(path)->st_mode & 07777; }

TEST_F(RestoreTest, WritesEveryFileAsItWas) {
  backup_.AddMinimum();
  backup_.AddFile("empty", "");
  backup_.AddFile("large", std::string(3'000'000, 'x'));
  backup_.Commit();
  const StageResult result = Restore();
  EXPECT_EQ(ReadText(InStage("PG_VERSION")), "15\n");
  EXPECT_EQ(ReadText(InStage("empty")), "");
  EXPECT_EQ(ReadText(InStage("large")), std::string(3'000'000, 'x'));
  EXPECT_EQ(ReadText(InStage("base/1/1259")), TestPage(100, 0, 'a') + TestPage(200, 1, 'b'));
  EXPECT_EQ(ReadText(InStage("global/pg_control")), TestControlFile());
  EXPECT_EQ(ReadText(InStage("backup_label")), "START WAL LOCATION: 0/2000028 (file x)\n");
  EXPECT_EQ(ReadText(InStage("pg_wal/000000010000000000000020")), TestWal());
  EXPECT_EQ(result.files, 10U);
  EXPECT_EQ(result.bytes, progress_.bytes_total.load());
  EXPECT_EQ(progress_.files_done.load(), progress_.files_total.load());
  EXPECT_EQ(progress_.phase.load(), Phase::kFinished);
}

TEST_F(RestoreTest, ManySmallFilesInOneFrameComeBack) {
  backup_.AddMinimum();
  std::string frame;
  for (int i = 0; i < 500; ++i) frame += std::string(static_cast<size_t>(i % 7), 'a' + i % 26);
  ManifestEntry shared = backup_.MakeFile("shared", frame);
  uint32_t place = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string content(static_cast<size_t>(i % 7), 'a' + i % 26);
    ManifestEntry& entry = backup_.AddFile(fmt::format("small/{:03}", i), "");
    entry.size_bytes = content.size();
    entry.content = Xxh3Digest(AsBytes(content));
    if (content.empty()) continue;
    entry.map.frames = shared.map.frames;
    entry.map.Append(content.size(), 0, place);
    place += static_cast<uint32_t>(content.size());
  }
  backup_.AddDirectory("small");
  backup_.Commit();
  static_cast<void>(Restore());
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(ReadText(InStage(fmt::format("small/{:03}", i))),
              std::string(static_cast<size_t>(i % 7), 'a' + i % 26));
  }
}

TEST_F(RestoreTest, FollowsThePageMapThroughSeveralFrames) {
  backup_.AddMinimum();
  ManifestEntry& entry = backup_.AddPages("base/1/2600", TestPage(1, 2, 'c') + TestPage(1, 0, 'd'));
  const ManifestEntry other = backup_.MakeFile("x", TestPage(1, 1, 'e'));
  entry.size_bytes = 3 * kTestPageBytes;
  entry.map.frames.push_back(other.map.frames[0]);
  entry.map.runs = {{1, 0, 1}, {1, 1, 0}, {1, 0, 0}};
  entry.map.all_visible = Bytes(1);
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadText(InStage("base/1/2600")),
            TestPage(1, 0, 'd') + TestPage(1, 1, 'e') + TestPage(1, 2, 'c'));
}

TEST_F(RestoreTest, ModesAreThoseThatTheServerAllows) {
  backup_.AddMinimum();
  backup_.AddDirectory("wide", 06777);
  backup_.AddFile("wide/open", "x", 06666);
  backup_.AddFile("wide/readonly", "x", 0400);
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ModeOf(stage_), 0700U);
  EXPECT_EQ(ModeOf(InStage("wide")), 0750U);
  EXPECT_EQ(ModeOf(InStage("wide/open")), 0640U);
  EXPECT_EQ(ModeOf(InStage("wide/readonly")), 0400U);
  EXPECT_EQ(ModeOf(InStage("backup_ext_stage")), 0700U);
  EXPECT_EQ(ModeOf(InStage("postgresql.auto.conf")), 0600U);
}

TEST_F(RestoreTest, GroupAccessOfTheOriginIsKept) {
  backup_.AddMinimum();
  for (ManifestEntry& entry : backup_.first) {
    if (entry.path == "global") entry.mode = 0750;
  }
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ModeOf(stage_), 0750U);
}

TEST_F(RestoreTest, RemovedFilesAreLeftOut) {
  backup_.AddMinimum();
  backup_.AddPages("base/1/16384", TestPage(1, 0, 'u'));
  ManifestEntry removed;
  removed.kind = EntryKind::kRemoved;
  removed.path = "base/1/16384";
  backup_.second.push_back(removed);
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_FALSE(StatLink(InStage("base/1/16384")));
  EXPECT_TRUE(StatLink(InStage("base/1/1259")));
  EXPECT_EQ(progress_.bytes_done.load(), progress_.bytes_total.load());
  EXPECT_EQ(progress_.files_done.load(), progress_.files_total.load());
}

TEST_F(RestoreTest, RootGivesEverythingToTheOriginsOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  backup_.AddMinimum();
  for (ManifestEntry& entry : backup_.first) {
    if (entry.path != "global") continue;
    entry.uid = 54321;
    entry.gid = 54322;
  }
  backup_.AddTablespace(16400, "/srv/t");
  backup_.AddFile("pg_tblspc/16400/made/on/the/way", "x");
  backup_.AddConfiguration("etc/1", "/etc/x", "x");
  backup_.Commit();
  const StageResult result = Restore();
  std::vector<std::string> paths = {stage_, stage_ + ".tablespaces", result.socket_directory};
  for (const std::string& path : TreeOf(stage_)) paths.push_back(InStage(path));
  for (const std::string& path : TreeOf(stage_ + ".tablespaces")) {
    paths.push_back(stage_ + ".tablespaces/" + path);
  }
  for (std::string& path : paths) {
    if (path.back() == '/') path.pop_back();
    EXPECT_EQ(StatLink(path)->st_uid, 54321U) << path;
    EXPECT_EQ(StatLink(path)->st_gid, 54322U) << path;
  }
}

TEST_F(RestoreTest, SignalsAndPidFilesAreNeverRestored) {
  backup_.AddMinimum();
  for (const char* path : {"postmaster.pid", "postmaster.opts", "standby.signal", "tablespace_map",
                           "backup_manifest", "recovery.signal", "backup_ext.state"}) {
    backup_.AddFile(path, "from the origin");
  }
  backup_.Commit();
  static_cast<void>(Restore());
  for (const char* path : {"postmaster.pid", "postmaster.opts", "standby.signal", "tablespace_map",
                           "backup_ext.state"}) {
    EXPECT_FALSE(StatLink(InStage(path))) << path;
  }
  EXPECT_EQ(ReadText(InStage("recovery.signal")), "");
  EXPECT_THAT(ReadText(InStage("backup_manifest")), HasSubstr("Manifest-Version"));
}

TEST_F(RestoreTest, GuardsEndTheSettings) {
  backup_.AddMinimum();
  backup_.Commit();
  const StageResult result = Restore();
  const std::string conf = ReadText(InStage("postgresql.auto.conf"));
  EXPECT_THAT(conf, HasSubstr("work_mem = '8MB'\n"));
  EXPECT_THAT(conf, Not(HasSubstr("port = 1111")));
  EXPECT_THAT(conf, Not(HasSubstr("port = '1111'")));
  EXPECT_THAT(conf, HasSubstr("port = '5544'\n"));
  EXPECT_THAT(conf, HasSubstr("listen_addresses = ''\n"));
  EXPECT_THAT(conf, HasSubstr("hba_file = '" + stage_ + "/backup_ext_stage/pg_hba.conf'\n"));
  EXPECT_THAT(conf, HasSubstr("unix_socket_directories = '" + result.socket_directory + "'\n"));
  EXPECT_TRUE(StatLink(result.socket_directory));
  EXPECT_EQ(ReadText(InStage("backup_ext_stage/postgresql.auto.conf")),
            "# by hand\nwork_mem = '8MB'\nport = 1111\n");
  EXPECT_EQ(ReadText(InStage("postgresql.conf")), "max_connections = 42\n");
  EXPECT_EQ(result.start_command, "/usr/lib/postgresql/15/bin/pg_ctl -D " + stage_ + " -l " +
                                      stage_ + "/backup_ext_stage/server.log -w start");
  if (result.socket_directory.rfind("/tmp/", 0) == 0) RemoveTree(result.socket_directory);
}

TEST_F(RestoreTest, ALongPathGetsItsSocketInTmp) {
  backup_.AddMinimum();
  backup_.Commit();
  stage_ = directory_ / std::string(120, 'd');
  const StageResult result = Restore();
  EXPECT_EQ(result.socket_directory, "/tmp/backup_ext-" + stage_id_);
  EXPECT_EQ(ModeOf(result.socket_directory), 0700U);
  RemoveTree(result.socket_directory);
}

TEST_F(RestoreTest, TablespacesGoBesideTheStage) {
  backup_.AddMinimum();
  const std::string origin = directory_ / "live_tablespace";
  MakeDirectory(origin);
  backup_.AddTablespace(16400, origin);
  backup_.AddDirectory("pg_tblspc/16400/PG_15_202209061");
  backup_.AddDirectory("pg_tblspc/16400/PG_15_202209061/5");
  backup_.AddPages("pg_tblspc/16400/PG_15_202209061/5/16385", TestPage(1, 0, 't'));
  backup_.Commit();
  static_cast<void>(Restore());
  const std::string target = stage_ + ".tablespaces/16400";
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/16400")), target);
  EXPECT_EQ(ReadText(target + "/PG_15_202209061/5/16385"), TestPage(1, 0, 't'));
  EXPECT_EQ(ReadText(InStage("tablespace_map")), "16400 " + target + "\n");
  EXPECT_THAT(TreeOf(origin), IsEmpty());
  EXPECT_THAT(ReadText(InStage("backup_manifest")),
              HasSubstr("\"pg_tblspc/16400/PG_15_202209061/5/16385\""));
  EXPECT_THAT(ReadText(InStage("backup_manifest")), HasSubstr("\"tablespace_map\""));
}

TEST_F(RestoreTest, InPlaceTablespacesStayWhereTheyAre) {
  backup_.AddMinimum();
  backup_.AddDirectory("pg_tblspc/16401");
  backup_.AddFile("pg_tblspc/16401/x", "in place");
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadText(InStage("pg_tblspc/16401/x")), "in place");
  EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
  EXPECT_THAT(ReadText(InStage("postgresql.auto.conf")),
              HasSubstr("allow_in_place_tablespaces = 'on'\n"));
}

TEST_F(RestoreTest, WalIsMarkedAsArchivedCutOffAtTheEndAndFilledUp) {
  backup_.AddMinimum();
  backup_.second.pop_back();
  std::string more = TestWal().substr(0, 70000);
  std::fill(more.begin() + 0x100, more.end(), 'w');
  backup_.AddLateFile("pg_wal/000000010000000000000020", more, FileKind::kWal);
  backup_.Commit();
  static_cast<void>(Restore());
  const std::string segment = ReadText(InStage("pg_wal/000000010000000000000020"));
  EXPECT_TRUE(segment == TestWal());
  EXPECT_TRUE(StatLink(InStage("pg_wal/archive_status/000000010000000000000020.done")));
  EXPECT_FALSE(StatLink(InStage("pg_wal/summaries")));
}

TEST_F(RestoreTest, SummariesHaveADirectoryFrom17On) {
  backup_.AddMinimum();
  backup_.record.server_version_num = 170000;
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_TRUE(StatLink(InStage("pg_wal/summaries")));
  EXPECT_THAT(ReadText(InStage("postgresql.auto.conf")), HasSubstr("summarize_wal = 'off'\n"));
}

TEST_F(RestoreTest, ConfigurationFromOutsideIsKeptAside) {
  backup_.AddMinimum();
  std::erase_if(backup_.first, [](const auto& entry) { return entry.path == "postgresql.conf"; });
  backup_.AddConfiguration("etc/1", "/etc/postgresql/15/main/postgresql.conf",
                           "data_directory = '/var/lib/postgresql/15/main'\n");
  backup_.AddConfiguration("etc/2", "/etc/postgresql/../x y\n", "local all all peer\n");
  backup_.record.settings = {{"work_mem", "12345"},
                             {"data_directory", "/var/lib/postgresql/15/main"},
                             {"my.setting", "it's \\ two\nlines"}};
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_EQ(ReadText(InStage("backup_ext_conf/1-postgresql.conf")),
            "data_directory = '/var/lib/postgresql/15/main'\n");
  EXPECT_EQ(ReadText(InStage("backup_ext_conf/2-x_y_")), "local all all peer\n");
  EXPECT_THAT(ReadText(InStage("backup_ext_conf/index")),
              HasSubstr("1-postgresql.conf\t/etc/postgresql/15/main/postgresql.conf\n"));
  const std::string conf = ReadText(InStage("postgresql.conf"));
  EXPECT_THAT(conf, HasSubstr("work_mem = '12345'\n"));
  EXPECT_THAT(conf, HasSubstr("my.setting = 'it''s \\\\ two\\nlines'\n"));
  EXPECT_THAT(conf, Not(HasSubstr("data_directory")));
}

// pg_ctl -D stage would start the origin instead.
TEST_F(RestoreTest, AConfigurationThatLeadsElsewhereIsReplaced) {
  backup_.AddMinimum();
  std::erase_if(backup_.first, [](const auto& entry) { return entry.path == "postgresql.conf"; });
  backup_.AddFile("postgresql.conf", "  Data_Directory '/var/lib/postgresql/15/main'\n");
  backup_.record.settings = {{"work_mem", "777"}};
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_THAT(ReadText(InStage("postgresql.conf")), HasSubstr("work_mem = '777'\n"));
  EXPECT_THAT(ReadText(InStage("postgresql.conf")), Not(HasSubstr("irectory")));
  EXPECT_EQ(ReadText(InStage("backup_ext_conf/1-postgresql.conf")),
            "  Data_Directory '/var/lib/postgresql/15/main'\n");
}

TEST_F(RestoreTest, ABackupOfAStageCanBeRestored) {
  backup_.AddMinimum();
  backup_.AddDirectory("backup_ext_stage");
  backup_.AddFile("backup_ext_stage/stage.json", "old");
  backup_.AddDirectory("backup_ext_conf");
  backup_.AddFile("backup_ext_conf/1-postgresql.conf", "old");
  backup_.AddConfiguration("etc/1", "/etc/postgresql.conf", "new");
  backup_.Commit();
  static_cast<void>(Restore());
  EXPECT_THAT(ReadText(InStage("backup_ext_stage/stage.json")), HasSubstr(stage_id_));
  EXPECT_EQ(ReadText(InStage("backup_ext_conf/1-postgresql.conf")), "old");
  EXPECT_EQ(ReadText(InStage("backup_ext_conf." + stage_id_ + "/1-postgresql.conf")), "new");
}

TEST_F(RestoreTest, EverythingIsInTheManifestForPgVerifybackup) {
  backup_.AddMinimum();
  backup_.AddConfiguration("etc/1", "/etc/postgresql.conf", "new");
  backup_.Commit();
  static_cast<void>(Restore());
  const std::string manifest = ReadText(InStage("backup_manifest"));
  for (const std::string& path : TreeOf(stage_)) {
    const bool listed = manifest.find("\"Path\": \"" + path + "\"") != std::string::npos;
    const bool ignored = path.back() == '/' || path.rfind("pg_wal/", 0) == 0 ||
                         path == "backup_manifest" || path == "postgresql.auto.conf" ||
                         path == "recovery.signal";
    EXPECT_NE(listed, ignored) << path;
  }
}

TEST_F(RestoreTest, AnErrorOfThePausePointLeavesNothing) {
  backup_.AddMinimum();
  backup_.AddTablespace(16400, "/srv/tablespace");
  backup_.AddFile("pg_tblspc/16400/x", "y");
  backup_.Commit();
  stage_ = directory_ / std::string(120, 'd');  // with a socket directory in /tmp
  // At every point where it can happen, until one restore gets through.
  int stop_at = 0;
  for (bool canceled = true; canceled; ++stop_at) {
    int calls = 0;
    const auto error = ErrorOf([&] {
      static_cast<void>(Restore([&] {
        if (calls++ == stop_at) throw Error(ErrorCode::kCanceled, "canceled");
      }));
    });
    canceled = error.has_value();
    if (!canceled) break;
    ASSERT_EQ(error->code(), ErrorCode::kCanceled) << error->message();
    EXPECT_FALSE(StatLink(stage_)) << stop_at;
    EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
    EXPECT_FALSE(StatLink("/tmp/backup_ext-" + stage_id_));
  }
  EXPECT_GT(stop_at, 3);
  RemoveTree("/tmp/backup_ext-" + stage_id_);
}

TEST_F(RestoreTest, AnEmptyDirectoryIsUsedAndLeftEmptyAfterAnError) {
  backup_.AddMinimum();
  backup_.Commit();
  MakeDirectory(stage_, 0755);
  int calls = 0;
  const auto error = ErrorOf([&] {
    static_cast<void>(Restore([&] {
      if (progress_.phase == Phase::kSyncing && calls++ == 0) {
        throw Error(ErrorCode::kCanceled, "canceled");
      }
    }));
  });
  ASSERT_TRUE(error);
  EXPECT_THAT(TreeOf(stage_), IsEmpty());
  EXPECT_EQ(ModeOf(stage_), 0755U);
  static_cast<void>(Restore());
  EXPECT_EQ(ModeOf(stage_), 0700U);
}

TEST_F(RestoreTest, ControlFileIsWrittenLast) {
  backup_.AddMinimum();
  backup_.Commit();
  bool seen_syncing = false;
  static_cast<void>(Restore([&] {
    seen_syncing |= progress_.phase == Phase::kSyncing;
    EXPECT_FALSE(StatLink(InStage("global/pg_control")));
  }));
  EXPECT_TRUE(seen_syncing);
  EXPECT_TRUE(StatLink(InStage("global/pg_control")));
}

}  // namespace
}  // namespace backup_ext
