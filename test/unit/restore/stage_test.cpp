// The descriptions of stages, and their removal.
#include "restore/stage.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

class StageTest : public RestoreTest {
 protected:
  StageTest() {
    stage_ = staging_ + "/" + stage_id_;
    description_.stage_id = stage_id_;
    description_.directory = stage_;
    description_.backup_id = kTestBackupId;
    description_.target = "latest";
    description_.state = "ready";
    description_.staged_at = 1'790'000'000'123'456;
    description_.bytes = 77;
    description_.safety_backup_id = "20261123-103246-9f3a2c1b";
    description_.start_command = "pg_ctl 'x'";
  }
  void Build() {
    MakeDirectory(staging_);
    backup_.AddMinimum();
    backup_.AddTablespace(16400, "/srv/t");
    backup_.AddFile("pg_tblspc/16400/x", "y");
    backup_.Commit();
    static_cast<void>(Restore());
    WriteStage(staging_, description_);
  }
  void ExpectRefused(const char* text) {
    const auto error = ErrorOf([&] { DiscardStage(staging_, stage_id_); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState) << error->message();
    EXPECT_THAT(error->message(), HasSubstr(text));
    EXPECT_TRUE(StatLink(stage_));
    EXPECT_TRUE(StatLink(staging_ + "/" + stage_id_ + ".json"));
  }
  std::string staging_ = directory_ / "stages";
  Stage description_;
};

TEST_F(StageTest, ComesBackAsWritten) {
  Build();
  const Stage stage = FindStage(staging_, stage_id_);
  EXPECT_EQ(stage.directory, stage_);
  EXPECT_EQ(stage.backup_id, kTestBackupId);
  EXPECT_EQ(stage.target, "latest");
  EXPECT_EQ(stage.state, "ready");
  EXPECT_EQ(stage.staged_at, description_.staged_at);
  EXPECT_EQ(stage.bytes, 77U);
  EXPECT_EQ(stage.safety_backup_id, "20261123-103246-9f3a2c1b");
  EXPECT_EQ(stage.start_command, "pg_ctl 'x'");
}

TEST_F(StageTest, ListIsNewestFirstAndHidesNothing) {
  EXPECT_TRUE(ListStages(staging_).empty());
  WriteStage(staging_, description_);
  description_.stage_id = "stage-20991124-110000-00c0ffee";
  description_.state = "building";
  description_.builder_pid = getpid();
  description_.builder_started_at = "1";  // somebody else had this pid
  WriteStage(staging_, description_);
  WriteFileDurably(staging_ + "/stage-20201122-110000-00c0ffee.json", AsBytes("{ not json"));
  WriteFileDurably(staging_ + "/notes.json", AsBytes("{}"));
  const std::vector<Stage> stages = ListStages(staging_);
  ASSERT_EQ(stages.size(), 3U);
  EXPECT_EQ(stages[0].stage_id, "stage-20991124-110000-00c0ffee");
  EXPECT_EQ(stages[0].state, "failed");
  EXPECT_EQ(stages[1].stage_id, stage_id_);
  EXPECT_EQ(stages[1].state, "missing");
  EXPECT_EQ(stages[2].stage_id, "stage-20201122-110000-00c0ffee");
  EXPECT_EQ(stages[2].state, "failed");
}

TEST_F(StageTest, UnknownOnesAreErrors) {
  const auto missing = ErrorOf([&] { static_cast<void>(FindStage(staging_, stage_id_)); });
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->code(), ErrorCode::kNotFound);
  EXPECT_FALSE(missing->hint().empty());
  const auto wrong = ErrorOf([&] { static_cast<void>(FindStage(staging_, "../x")); });
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->code(), ErrorCode::kInvalidArgument);
}

TEST_F(StageTest, DiscardRemovesEverything) {
  Build();
  EXPECT_TRUE(StatLink(stage_ + ".tablespaces/16400/x"));
  DiscardStage(staging_, stage_id_);
  EXPECT_TRUE(std::filesystem::is_empty(staging_));
}

TEST_F(StageTest, DiscardRemovesTheSocketDirectoryInTmp) {
  staging_ = directory_ / std::string(100, 'd');
  stage_ = staging_ + "/" + stage_id_;
  description_.directory = stage_;
  Build();
  const std::string socket = "/tmp/backup_ext-" + stage_id_;
  EXPECT_TRUE(StatLink(socket));
  DiscardStage(staging_, stage_id_);
  EXPECT_FALSE(StatLink(socket));
}

TEST_F(StageTest, DiscardRefusesWhileItIsBuilt) {
  Build();
  description_.state = "building";
  description_.builder_pid = getpid();
  description_.builder_started_at = ProcessStartTime(getpid());
  EXPECT_FALSE(description_.builder_started_at.empty());
  WriteStage(staging_, description_);
  ExpectRefused("is still being built");
}

TEST_F(StageTest, DiscardRefusesARunningServer) {
  Build();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (chdir(stage_.c_str()) != 0) _exit(1);
    for (;;) pause();
  }
  while (std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", child)) != stage_) usleep(1000);
  WriteFileDurably(InStage("postmaster.pid"), AsBytes(fmt::format("{}\n{}\n", child, stage_)));
  ExpectRefused("a server is running in");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  DiscardStage(staging_, stage_id_);
  EXPECT_FALSE(StatLink(stage_));
}

// A server in single-user mode writes its pid with a minus sign.
TEST_F(StageTest, DiscardRefusesASingleUserServer) {
  Build();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(stage_);
  WriteFileDurably(InStage("postmaster.pid"), AsBytes(fmt::format("-{}\n{}\n", getpid(), stage_)));
  ExpectRefused("a server is running in");
  std::filesystem::current_path(before);
  EXPECT_TRUE(StatLink(InStage("PG_VERSION")));
}

TEST_F(StageTest, AStalePidFileIsNoServer) {
  Build();
  // Alive, but in another directory.
  WriteFileDurably(InStage("postmaster.pid"), AsBytes(fmt::format("{}\n{}\n", getpid(), stage_)));
  DiscardStage(staging_, stage_id_);
  EXPECT_FALSE(StatLink(stage_));
}

TEST_F(StageTest, DiscardRefusesADirectoryThatIsNotItsOwn) {
  Build();
  WriteFileDurably(InStage("backup_ext_stage/stage.json"), AsBytes("{\"stage_id\": \"other\"}"));
  ExpectRefused("does not carry the marker");
  WriteFileDurably(
      InStage("backup_ext_stage/stage.json"),
      AsBytes("{\"stage_id\": \"stage-20201122-110000-00c0ffee\", \"backup_id\": \"\", "
              "\"directory\": \"\", \"socket_directory\": \"\"}"));
  ExpectRefused("does not carry the marker");
  EXPECT_TRUE(StatLink(InStage("PG_VERSION")));
}

TEST_F(StageTest, DiscardKeepsTheTablespacesOfAMovedDirectory) {
  Build();
  std::filesystem::rename(stage_, stage_ + ".moved");
  const auto error = ErrorOf([&] { DiscardStage(staging_, stage_id_); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState) << error->message();
  EXPECT_THAT(error->message(), HasSubstr("was moved"));
  EXPECT_TRUE(StatLink(stage_ + ".moved/pg_tblspc/16400"));
  EXPECT_TRUE(StatFile(stage_ + ".moved/pg_tblspc/16400/x"));
}

// Moved to where it became the real one, and something else is in its place.
TEST_F(StageTest, ARefusedDiscardRemovesNothing) {
  Build();
  const std::string moved = stage_ + ".moved";
  std::filesystem::rename(stage_, moved);
  ASSERT_EQ(symlink(moved.c_str(), stage_.c_str()), 0);
  ExpectRefused("is not a directory");
  EXPECT_TRUE(StatFile(moved + "/pg_tblspc/16400/x"));

  ASSERT_EQ(unlink(stage_.c_str()), 0);
  MakeDirectory(stage_);
  ExpectRefused("was moved");
  EXPECT_TRUE(StatFile(moved + "/pg_tblspc/16400/x"));

  WriteFileDurably(InStage("precious"), AsBytes("x"));
  ExpectRefused("does not carry the marker");
  EXPECT_TRUE(StatFile(moved + "/pg_tblspc/16400/x"));
}

TEST_F(StageTest, DiscardOfAHalfMadeOneWorks) {
  MakeDirectories(stage_ + "/backup_ext_stage");
  description_.state = "building";
  WriteStage(staging_, description_);
  DiscardStage(staging_, stage_id_);
  EXPECT_TRUE(std::filesystem::is_empty(staging_));
}

TEST_F(StageTest, DiscardNeverFollowsALink) {
  Build();
  const std::string precious = directory_ / "precious";
  MakeDirectory(precious);
  WriteFileDurably(precious + "/x", AsBytes("x"));
  ASSERT_EQ(symlink(precious.c_str(), InStage("base/link").c_str()), 0);
  ASSERT_EQ(symlink(precious.c_str(), InStage("link").c_str()), 0);
  DiscardStage(staging_, stage_id_);
  EXPECT_EQ(ReadText(precious + "/x"), "x");
}

TEST(ProcessStartTime, IsThatOfTheKernel) {
  EXPECT_EQ(ProcessStartTime(getpid()), ProcessStartTime(getpid()));
  EXPECT_EQ(ProcessStartTime(1 << 30), "");
}

}  // namespace
}  // namespace backup_ext
