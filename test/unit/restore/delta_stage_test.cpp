// A restore into a directory that holds an earlier stage.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "restore/plan.h"
#include "restore/restore_run.h"
#include "restore/restore_test_support.h"
#include "restore/stage_marker.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

constexpr size_t kManyPages = 100;  // three frames and a part

std::string Pages(size_t count) {
  std::string pages;
  for (size_t block = 0; block < count; ++block) {
    pages += TestPage(100, static_cast<uint32_t>(block), static_cast<char>('a' + block % 26));
  }
  return pages;
}

void Overwrite(const std::string& path, uint64_t offset, std::string_view bytes) {
  WriteAllAt(OpenFile(path, O_WRONLY).get(), AsBytes(bytes), offset, path);
}

void WriteText(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// What shows that a file was written to, or replaced.
struct Identity {
  ino_t inode;
  int64_t seconds, nanoseconds;
  bool operator==(const Identity&) const = default;
};
Identity IdentityOf(const std::string& path) {
  const auto status = StatLink(path);
  if (!status) return {};
  return {status->st_ino, status->st_mtim.tv_sec, status->st_mtim.tv_nsec};
}

class DeltaStageTest : public RestoreTest {
 protected:
  void Backup() {
    AddContent();
    backup_.Commit();
  }
  void AddContent() {
    backup_.AddMinimum();
    backup_.AddFile("small", "as it was");
    backup_.AddFile("large", std::string(1'000'000, 'x'));
    backup_.AddPages("base/1/2600", Pages(kManyPages));
  }
  StageResult Again(const std::function<void()>& pause_point = [] {}) {
    stage_id_ = NewStageId(Now());
    progress_.bytes_done = 0;
    progress_.files_done = 0;
    return Restore(pause_point);
  }
  // Of the kept files: what the server writes into them at once is written anew each time.
  void ExpectAsAFreshOne() {
    const std::string fresh = directory_ / "fresh";
    StageOptions options = Options();
    options.directory = fresh;
    options.stage_id = NewStageId(Now());
    Progress progress;
    (void)RestoreToStage(backup_.repository, backup_.record, options, &progress, [] {});
    EXPECT_EQ(TreeOf(stage_), TreeOf(fresh));
    for (const std::string& path : TreeOf(fresh)) {
      const std::string full_path = JoinPath(fresh, path);
      if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(full_path))) continue;
      EXPECT_EQ(StatLink(InStage(path))->st_mode, StatLink(full_path)->st_mode) << path;
      if (path.starts_with("backup_ext_stage/") || path == "postgresql.auto.conf") continue;
      if (path == "backup_manifest" || path == "tablespace_map") continue;
      EXPECT_EQ(ReadText(InStage(path)), ReadText(full_path)) << path;
    }
    for (const char* path : {"PG_VERSION", "small", "large", "base/1/2600", "base/1/1259"}) {
      EXPECT_EQ(ManifestLine(stage_, path), ManifestLine(fresh, path));
    }
    RemoveTree(fresh);
    RemoveTree(fresh + ".tablespaces");
  }
  static std::string ManifestLine(const std::string& directory, const std::string& path) {
    const std::string text = ReadText(directory + "/backup_manifest");
    const size_t at = text.find(fmt::format("\"Path\": \"{}\"", path));
    return at == std::string::npos ? path : text.substr(at, text.find('}', at) - at);
  }
  void ExpectRefused(ErrorCode code, const std::string& detail) {
    const auto before = TreeOf(directory_.path());
    const auto error = ErrorOf([&] { (void)Again(); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), code) << error->message();
    EXPECT_THAT(error->detail(), HasSubstr(detail));
    EXPECT_EQ(TreeOf(directory_.path()), before);
  }
};

TEST_F(DeltaStageTest, WhatIsRightIsNotWritten) {
  Backup();
  const StageResult first = Restore();
  EXPECT_EQ(first.kept_bytes, 0U);
  const std::vector<std::string> paths = {"PG_VERSION",  "small",       "large",
                                          "base/1/2600", "base/1/1259", "global/pg_filenode.map"};
  std::map<std::string, Identity> before;
  for (const std::string& path : paths) before[path] = IdentityOf(InStage(path));
  const StageResult again = Again();
  for (const std::string& path : paths) EXPECT_EQ(IdentityOf(InStage(path)), before[path]) << path;
  EXPECT_EQ(again.bytes, first.bytes);
  EXPECT_EQ(again.files, first.files);
  const auto marker = ReadStageMarker(stage_);
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->stage_id, stage_id_);
  EXPECT_FALSE(marker->building);
  ExpectAsAFreshOne();
}

TEST_F(DeltaStageTest, OnlyWrongPagesAreWritten) {
  Backup();
  const uint64_t kept = (static_cast<void>(Restore()), Again().kept_bytes);
  const Identity before = IdentityOf(InStage("base/1/2600"));
  Overwrite(InStage("base/1/2600"), 40 * kTestPageBytes + 5000, "wrong");
  EXPECT_EQ(Again().kept_bytes, kept - kTestPageBytes);
  EXPECT_EQ(IdentityOf(InStage("base/1/2600")).inode, before.inode);
  ExpectAsAFreshOne();
}

TEST_F(DeltaStageTest, SizesAreSetRight) {
  Backup();
  static_cast<void>(Restore());
  std::filesystem::resize_file(InStage("base/1/2600"), 37 * kTestPageBytes + 100);
  std::filesystem::resize_file(InStage("base/1/1259"), 9 * kTestPageBytes);
  std::filesystem::resize_file(InStage("large"), 0);
  std::filesystem::resize_file(InStage("small"), 1'000'000);
  std::filesystem::resize_file(InStage("pg_wal/000000010000000000000020"), 77);
  static_cast<void>(Again());
  ExpectAsAFreshOne();
}

TEST_F(DeltaStageTest, PagesOfSeveralFramesAreCompared) {
  backup_.AddMinimum();
  ManifestEntry& entry = backup_.AddPages("base/1/2600", TestPage(1, 2, 'c') + TestPage(1, 0, 'd'));
  const ManifestEntry other = backup_.MakeFile("x", TestPage(1, 1, 'e'));
  entry.size_bytes = 3 * kTestPageBytes;
  entry.map.frames.push_back(other.map.frames[0]);
  entry.map.runs = {{1, 0, 1}, {1, 1, 0}, {1, 0, 0}};
  entry.map.all_visible = Bytes(1);
  backup_.Commit();
  static_cast<void>(Restore());
  const Identity before = IdentityOf(InStage("base/1/2600"));
  static_cast<void>(Again());
  EXPECT_EQ(IdentityOf(InStage("base/1/2600")), before);
  Overwrite(InStage("base/1/2600"), 2 * kTestPageBytes, "wrong");
  static_cast<void>(Again());
  EXPECT_EQ(ReadText(InStage("base/1/2600")),
            TestPage(1, 0, 'd') + TestPage(1, 1, 'e') + TestPage(1, 2, 'c'));
}

TEST_F(DeltaStageTest, WhatDoesNotBelongGoes) {
  Backup();
  static_cast<void>(Restore());
  WriteText(directory_ / "outside", "kept");
  MakeDirectory(directory_ / "elsewhere");
  WriteText(directory_ / "elsewhere/file", "kept");
  WriteText(InStage("postmaster.pid"), "999999999\n");
  WriteText(InStage("base/1/99999"), "new table");
  MakeDirectories(InStage("base/5/deep"));
  WriteText(InStage("base/5/deep/file"), "new database");
  WriteText(InStage("backup_ext_stage/server.log"), "log");
  WriteText(InStage("pg_wal/000000020000000000000021"), "wal");
  ASSERT_EQ(symlink((directory_ / "outside").c_str(), InStage("base/1/link").c_str()), 0);
  ASSERT_EQ(symlink((directory_ / "elsewhere").c_str(), InStage("base/7").c_str()), 0);
  ASSERT_EQ(mkfifo(InStage("base/1/pipe").c_str(), 0600), 0);
  static_cast<void>(Again());
  ExpectAsAFreshOne();
  EXPECT_EQ(ReadText(directory_ / "outside"), "kept");
  EXPECT_EQ(ReadText(directory_ / "elsewhere/file"), "kept");
}

TEST_F(DeltaStageTest, WhatHasAnotherNameOrLeadsAwayIsReplaced) {
  Backup();
  static_cast<void>(Restore());
  const std::string changed = "AS IT WAS";
  ASSERT_EQ(link(InStage("small").c_str(), (directory_ / "name").c_str()), 0);
  Overwrite(InStage("small"), 0, changed);
  std::filesystem::rename(InStage("large"), directory_ / "large");
  ASSERT_EQ(symlink((directory_ / "large").c_str(), InStage("large").c_str()), 0);
  std::filesystem::rename(InStage("base/1"), directory_ / "1");
  ASSERT_EQ(symlink((directory_ / "1").c_str(), InStage("base/1").c_str()), 0);
  RemoveFile(InStage("PG_VERSION"));
  MakeDirectory(InStage("PG_VERSION"));
  Overwrite(directory_ / "1/2600", 0, "wrong");
  const Identity outside = IdentityOf(directory_ / "1/2600");
  static_cast<void>(Again());
  ExpectAsAFreshOne();
  EXPECT_EQ(ReadText(directory_ / "name"), changed);
  EXPECT_EQ(IdentityOf(directory_ / "1/2600"), outside);
}

TEST_F(DeltaStageTest, AnInterruptedOneIsContinued) {
  Backup();
  static_cast<void>(Restore());
  Overwrite(InStage("base/1/2600"), 0, "wrong");
  const auto error = ErrorOf([&] {
    (void)Again([this] {
      if (!StatLink(InStage("global/pg_control"))) throw Error(ErrorCode::kCanceled, "canceled");
    });
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kCanceled);
  EXPECT_THAT(error->hint(), HasSubstr("to continue it"));
  EXPECT_FALSE(StatLink(InStage("global/pg_control")));
  const auto marker = ReadStageMarker(stage_);
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->stage_id, stage_id_);
  EXPECT_TRUE(marker->building);
  static_cast<void>(Again());
  ExpectAsAFreshOne();
}

TEST_F(DeltaStageTest, OneThatDiedBeforeItsMarkerIsContinued) {
  Backup();
  MakeDirectories(InStage("backup_ext_stage"));
  WriteText(InStage("backup_ext_stage/stage.json.new"), "{");
  static_cast<void>(Again());
  ExpectAsAFreshOne();
}

TEST_F(DeltaStageTest, WhileAnotherFillsItItIsRefused) {
  Backup();
  static_cast<void>(Restore());
  const FileDescriptor folder = OpenFile(InStage("backup_ext_stage"), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(folder.get(), LOCK_EX | LOCK_NB), 0);
  ExpectRefused(ErrorCode::kAlreadyExists, "Another restore into it is running.");
}

TEST_F(DeltaStageTest, WhatIsNoStageIsRefused) {
  Backup();
  static_cast<void>(Restore());
  std::filesystem::rename(InStage("backup_ext_stage/stage.json"),
                          InStage("backup_ext_stage/activated.json"));
  ExpectRefused(ErrorCode::kAlreadyExists, "A restore never writes over anything.");
  std::filesystem::copy_file(InStage("backup_ext_stage/activated.json"),
                             InStage("backup_ext_stage/stage.json"));
  ExpectRefused(ErrorCode::kNotInPrerequisiteState, "activation was begun");
}

TEST_F(DeltaStageTest, AReplacedDataDirectoryIsRefused) {
  Backup();
  static_cast<void>(Restore());
  StageMarker marker = *ReadStageMarker(stage_);
  marker.role = StageRole::kReplaced;
  WriteText(InStage("backup_ext_stage/stage.json"), EncodeStageMarker(marker));
  ExpectRefused(ErrorCode::kNotInPrerequisiteState, "whose place a stage took");
}

TEST_F(DeltaStageTest, AMovedOneIsRefused) {
  Backup();
  static_cast<void>(Restore());
  std::filesystem::rename(stage_, directory_ / "moved");
  stage_ = directory_ / "moved";
  ExpectRefused(ErrorCode::kNotInPrerequisiteState, "moved or copied");
}

TEST_F(DeltaStageTest, ThatOfAnotherClusterIsRefused) {
  Backup();
  BackupBuilder other(directory_ / "other");
  other.AddMinimum();
  other.Commit();
  Progress progress;
  (void)RestoreToStage(other.repository, other.record, Options(), &progress, [] {});
  ExpectRefused(ErrorCode::kWrongCluster, "another repository");
  StageMarker marker = *ReadStageMarker(stage_);
  WriteText(InStage("global/pg_control"), TestControlFile(kTestSystemIdentifier + 1));
  marker.repository_created_at = backup_.repository.identity().created_at;
  WriteText(InStage("backup_ext_stage/stage.json"), EncodeStageMarker(marker));
  ExpectRefused(ErrorCode::kWrongCluster, "7654321098765432110");
}

TEST_F(DeltaStageTest, TablespacesAreTakenOverToo) {
  AddContent();
  backup_.AddDirectory("pg_tblspc/16400/PG_15_202209061");
  backup_.AddPages("pg_tblspc/16400/PG_15_202209061/1", Pages(3));
  backup_.AddTablespace(16400, "/srv/fast");
  backup_.Commit();
  static_cast<void>(Restore());
  const std::string top = stage_ + ".tablespaces";
  const std::string file = top + "/16400/PG_15_202209061/1";
  const Identity before = IdentityOf(file);
  WriteText(top + "/16400/PG_15_202209061/2", "stray");
  MakeDirectories(top + "/16401/PG_15_202209061");
  WriteText(top + "/16401/PG_15_202209061/3", "stray");
  static_cast<void>(Again());
  EXPECT_EQ(IdentityOf(file), before);
  EXPECT_THAT(TreeOf(top),
              testing::ElementsAre("16400/", "16400/PG_15_202209061/", "16400/PG_15_202209061/1",
                                   "backup_ext_stage/", "backup_ext_stage/stage.json"));
  ExpectAsAFreshOne();
  RemoveTree(directory_ / "fresh.tablespaces");
}

TEST_F(DeltaStageTest, ATablespaceElsewhereIsTakenOverOrGivenUp) {
  AddContent();
  backup_.AddDirectory("pg_tblspc/16400/PG_15_202209061");
  backup_.AddPages("pg_tblspc/16400/PG_15_202209061/1", Pages(3));
  backup_.AddTablespace(16400, "/srv/fast");
  backup_.Commit();
  const std::string place = directory_ / "placed";
  const auto restore = [&](TablespaceMapping mapping) {
    StageOptions options = Options();
    options.stage_id = NewStageId(Now());
    options.mapping = std::move(mapping);
    Progress progress;
    return RestoreToStage(backup_.repository, backup_.record, options, &progress, [] {});
  };
  static_cast<void>(restore({{"16400", place}}));
  const Identity before = IdentityOf(place + "/PG_15_202209061/1");
  static_cast<void>(restore({{"16400", place}}));
  EXPECT_EQ(IdentityOf(place + "/PG_15_202209061/1"), before);
  static_cast<void>(restore({}));
  EXPECT_FALSE(StatLink(place));
  EXPECT_EQ(ReadText(stage_ + ".tablespaces/16400/PG_15_202209061/1"), Pages(3));
  EXPECT_TRUE(ReadStageMarker(stage_)->tablespaces.empty());
  // What the marker does not name is not ours.
  MakeDirectory(place);
  WriteText(place + "/file", "somebody's");
  const auto error = ErrorOf([&] { static_cast<void>(restore({{"16400", place}})); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists);
  static_cast<void>(restore({}));
}

TEST_F(DeltaStageTest, WhatIsThereCountsAsSpace) {
  Backup();
  RestorePlan plan;
  plan.main_bytes = FreeBytes(directory_.path()) + 1'000'000'000'000;
  EXPECT_TRUE(ErrorOf([&] { CheckFreeSpace(stage_, backup_.record, plan); }));
  const dev_t device = StatFile(directory_.path())->st_dev;
  EXPECT_FALSE(ErrorOf([&] {
    CheckFreeSpace(stage_, backup_.record, plan, {}, {{device, 2'000'000'000'000}});
  }));
}

}  // namespace
}  // namespace backup_ext
