// A stage becomes the server, and the way back; killed at every step of both.
#include "restore/activation.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "restore/configuration.h"
#include "restore/restore_test_support.h"
#include "restore/settings_file.h"
#include "restore/stage.h"
#include "restore/stage_marker.h"
#include "restore/tablespace_links.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Snapshot = std::map<std::string, std::string>;

// Every path below `directory` with its mode and content, or the target of the link that it is.
Snapshot SnapshotOf(const std::string& directory) {
  Snapshot snapshot;
  if (!StatLink(directory)) return snapshot;
  for (const std::string& path : TreeOf(directory)) {
    const std::string full = directory + "/" + path;
    const auto status = StatLink(path.ends_with("/") ? full.substr(0, full.size() - 1) : full);
    std::string value = fmt::format("{:o} ", status->st_mode);
    if (S_ISLNK(status->st_mode)) value += ReadLink(full);
    if (S_ISREG(status->st_mode)) value += ReadText(full);
    snapshot[path] = value;
  }
  return snapshot;
}

class ActivationTest : public RestoreTest {
 protected:
  void MakeOld(uint64_t system_identifier = kTestSystemIdentifier) {
    MakeDirectories(data_ + "/global");
    MakeDirectories(data_ + "/pg_tblspc");
    MakeDirectories(directory_ / "old_location");
    Write(data_ + "/PG_VERSION", "15\n");
    Write(data_ + "/postgresql.conf", "# old\n");
    Write(data_ + "/postgresql.auto.conf", "# old auto\n");
    Write(data_ + "/global/pg_control", TestControlFile(system_identifier));
    std::filesystem::create_symlink(directory_ / "old_location", data_ + "/pg_tblspc/16400");
  }
  void MakeStage() {
    backup_.AddMinimum();
    backup_.AddTablespace(16400, "/srv/t");
    backup_.AddFile("pg_tblspc/16400/x", "in the tablespace");
    Commit();
  }
  // Configuration outside the data directory, as Debian has it.
  void MakeDebianStage() {
    backup_.AddMinimum();
    std::erase_if(backup_.first, [](const auto& e) { return e.path == "postgresql.conf"; });
    backup_.record.settings = {{"work_mem", "9MB"}};
    backup_.AddConfiguration("c/1", "/etc/postgresql/15/main/postgresql.conf", "work_mem = 9MB\n");
    backup_.AddConfiguration("c/2", "/etc/postgresql/15/main/pg_hba.conf", "local all all peer\n");
    Commit();
  }
  void Commit() {
    backup_.Commit();
    static_cast<void>(Restore());
    Remember();
  }
  void Remember() {
    old_ = SnapshotOf(data_);
    staged_ = SnapshotOf(stage_);
    tablespaces_ = SnapshotOf(stage_ + ".tablespaces");
  }
  static void Write(const std::string& path, std::string_view text) {
    WriteFileDurably(path, AsBytes(text));
  }
  ActivationRequest Request() { return {stage_, data_, OtherCluster::kRefuse, {}}; }

  // But for the note of a stage that was the server.
  Snapshot StageNow() {
    Snapshot now = SnapshotOf(stage_);
    was_served_ = now.erase("backup_ext_stage/served") > 0;
    return now;
  }
  void ExpectAsBefore() {
    EXPECT_EQ(SnapshotOf(data_), old_);
    EXPECT_EQ(StageNow(), staged_);
    EXPECT_EQ(SnapshotOf(stage_ + ".tablespaces"), tablespaces_);
    EXPECT_FALSE(StatLink(ActivationJournalPath(data_)));
  }
  void ExpectActivated() {
    EXPECT_EQ(ReadText(data_ + "/base/1/1259").size(), 2 * kTestPageBytes);
    EXPECT_EQ(ReadText(data_ + "/pg_tblspc/16400/x"), "in the tablespace");
    EXPECT_FALSE(ReadStageMarker(data_));
    EXPECT_THAT(ReadText(data_ + "/postgresql.auto.conf"), Not(HasSubstr("listen_addresses")));
    EXPECT_EQ(ReadStageMarker(stage_)->role, StageRole::kReplaced);
    EXPECT_EQ(ReadText(stage_ + "/postgresql.conf"), "# old\n");
    EXPECT_EQ(ReadLink(stage_ + "/pg_tblspc/16400"), directory_ / "old_location");
    EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
    EXPECT_EQ(ReadActivationJournal(data_)->state, ActivationState::kActivated);
  }
  // At any moment: the name of the data directory leads to the old tree, untouched, or to the whole
  // new one.
  void ExpectOneOfTwo() {
    if (ReadText(data_ + "/postgresql.conf") == "# old\n") {
      Snapshot now = SnapshotOf(data_);
      EXPECT_EQ(now, old_);
    } else {
      EXPECT_EQ(ReadText(data_ + "/pg_tblspc/16400/x"), "in the tablespace");
      EXPECT_THAT(ReadText(data_ + "/postgresql.auto.conf"), Not(HasSubstr("listen_addresses")));
      EXPECT_FALSE(ReadStageMarker(data_));
    }
  }
  void ExpectRefused(const char* text, const ActivationRequest& request) {
    const auto dry = ErrorOf([&] { static_cast<void>(CheckActivation(request)); });
    const auto error = ErrorOf([&] { static_cast<void>(Activate(request)); });
    ASSERT_TRUE(error) << text;
    ASSERT_TRUE(dry) << text;
    EXPECT_THAT(error->message() + " " + error->detail(), HasSubstr(text));
    EXPECT_EQ(dry->message(), error->message());
    EXPECT_NE(error->hint(), "") << text;
    ExpectAsBefore();
  }

  std::string data_ = directory_ / "main";
  bool was_served_ = false;
  Snapshot old_;
  Snapshot staged_;
  Snapshot tablespaces_;
};

// The process is killed after the named step; the number of steps that it came to.
int KillAfter(int count,
              const std::function<void(const std::function<void(std::string_view)>&)>& run) {
  const pid_t child = fork();
  if (child == 0) {
    int steps = 0;
    run([&](std::string_view) {
      if (++steps == count) kill(getpid(), SIGKILL);
    });
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? count : 0;
}

TEST_F(ActivationTest, ExchangesTheTwoAndUndoes) {
  MakeOld();
  MakeStage();
  const ActivationReport dry = CheckActivation(Request());
  EXPECT_EQ(dry.other_directory, stage_);
  ExpectAsBefore();
  const ActivationReport report = Activate(Request());
  EXPECT_EQ(report.stage_id, stage_id_);
  ExpectActivated();
  EXPECT_EQ(ReadLink(data_ + "/pg_tblspc/16400"),
            fmt::format("{}.tablespaces-{}/16400", data_, stage_id_));
  EXPECT_EQ(ReadText(data_ + "/tablespace_map"),
            fmt::format("16400 {}.tablespaces-{}/16400\n", data_, stage_id_));
  static_cast<void>(CheckUndoActivation(data_));
  ExpectActivated();
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
  EXPECT_TRUE(was_served_);
  static_cast<void>(Activate(Request()));
  ExpectActivated();
}

TEST_F(ActivationTest, TheFirstStartRecoversAndThenTheOriginsFileIsInForce) {
  MakeOld();
  MakeStage();
  static_cast<void>(Activate(Request()));
  const std::string text = ReadText(data_ + "/postgresql.auto.conf");
  EXPECT_THAT(text, HasSubstr("work_mem = '8MB'\nport = 1111\n"));
  EXPECT_THAT(text, HasSubstr("restore_command = 'false'\n"));
  EXPECT_THAT(text, HasSubstr("recovery_target_timeline = '1'\n"));
  EXPECT_THAT(text, HasSubstr("hot_standby = 'off'\n"));
  for (const char* guard : {"archive_mode", "shared_preload", "autovacuum", "hba_file", "5432"}) {
    EXPECT_THAT(text, Not(HasSubstr(guard)));
  }
  // What the server runs at the end of its recovery.
  const std::string line = text.substr(text.find("recovery_end_command = '") + 24);
  const std::string command = line.substr(0, line.find('\''));
  ASSERT_EQ(std::system(fmt::format("cd '{}' && {}", data_, command).c_str()), 0);
  EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"),
            "# by hand\nwork_mem = '8MB'\nport = 1111\n");
}

// The server crashed between the removal of recovery.signal and its recovery_end_command.
TEST_F(ActivationTest, AFirstStartThatDidNotEndIsFinished) {
  const std::string origins = "# by hand\nwork_mem = '8MB'\nport = 1111\n";
  MakeOld();
  MakeStage();
  static_cast<void>(Activate(Request()));
  EXPECT_FALSE(FinishInterrupted(data_));  // it is still to be recovered
  EXPECT_THAT(ReadText(data_ + "/postgresql.auto.conf"), HasSubstr("restore_command"));
  EXPECT_FALSE(CheckInterrupted(data_));
  EXPECT_THAT(CheckUndoActivation(data_).notices, IsEmpty());
  RemoveFile(data_ + "/recovery.signal");
  const Snapshot killed_at = SnapshotOf(directory_.path());
  EXPECT_THAT(*CheckInterrupted(data_), HasSubstr("at its end; it will be finished first"));
  EXPECT_THAT(CheckUndoActivation(data_).notices, ElementsAre(*CheckInterrupted(data_)));
  EXPECT_EQ(SnapshotOf(directory_.path()), killed_at);
  EXPECT_THAT(*FinishInterrupted(data_), HasSubstr("is in place now"));
  EXPECT_FALSE(CheckInterrupted(data_));
  EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"), origins);
  EXPECT_FALSE(StatLink(data_ + "/backup_ext_stage/next.auto.conf"));
  EXPECT_FALSE(FinishInterrupted(data_));
  static_cast<void>(UndoActivation(data_));
  static_cast<void>(Activate(Request()));
  EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"), origins);
}

// A server that never came out of its recovery is to do it again, on the timeline that it was on.
TEST_F(ActivationTest, ARecoveryThatDidNotEndIsRepeated) {
  MakeOld();
  MakeStage();
  const std::string signal = data_ + "/recovery.signal";
  const auto end_with = [&](uint32_t state, uint32_t timeline) {
    Write(data_ + "/global/pg_control", TestControlFile(kTestSystemIdentifier, state, timeline));
    RemoveFile(signal);
  };
  static_cast<void>(Activate(Request()));
  const std::string first = ReadText(data_ + "/postgresql.auto.conf");
  for (const uint32_t state : {2U, 3U, 4U, 5U}) {
    end_with(state, 1);
    EXPECT_THAT(*CheckInterrupted(data_), HasSubstr("will be made ready to be done again first"));
    EXPECT_FALSE(StatLink(signal));
    EXPECT_THAT(*FinishInterrupted(data_), HasSubstr("the next start does it again"));
    EXPECT_TRUE(StatLink(signal));
    EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"), first);
    EXPECT_FALSE(FinishInterrupted(data_));
  }
  end_with(5, 1);
  static_cast<void>(UndoActivation(data_));
  EXPECT_TRUE(StatLink(InStage("recovery.signal")));
  // In production, shut down, or beyond its first timeline: there it would not start any more.
  for (const auto& [state, timeline] : {std::pair{6U, 1U}, {1U, 1U}, {5U, 2U}}) {
    static_cast<void>(Activate(Request()));
    end_with(state, timeline);
    EXPECT_THAT(*FinishInterrupted(data_), HasSubstr("is in place now"));
    EXPECT_FALSE(StatLink(signal));
    static_cast<void>(UndoActivation(data_));
    Write(InStage("recovery.signal"), "");
  }
}

// ALTER SYSTEM writes the file anew. RESET of what only the recovery needs gives
// the origin's value back.
TEST_F(ActivationTest, WhatAlterSystemChangedBeforeTheEndOfTheFirstStartIsKept) {
  const std::string origins = "work_mem = '8MB'\nport = 1111\nrestore_command = 'cp %f %p'\n";
  MakeOld();
  backup_.AddMinimum();
  std::erase_if(backup_.first, [](const auto& e) { return e.path == "postgresql.auto.conf"; });
  backup_.AddFile("postgresql.auto.conf", origins);
  Commit();
  for (const bool by_undo : {false, true}) {
    SCOPED_TRACE(by_undo);
    static_cast<void>(Activate(Request()));
    std::string text = WithoutSettings(ReadText(data_ + "/postgresql.auto.conf"),
                                       {"port", "restore_command", "recovery_target_time"});
    text.replace(text.find("'8MB'"), 5, "'9MB'");
    text += "search_path = 'it''s'\nrecovery_target_name = 'x'\n";
    Write(data_ + "/postgresql.auto.conf", text);
    RemoveFile(data_ + "/recovery.signal");
    if (by_undo) {
      EXPECT_THAT(UndoActivation(data_).notices[0], HasSubstr("is in place now"));
      static_cast<void>(Activate(Request()));
    } else {
      static_cast<void>(FinishInterrupted(data_));
    }
    EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"),
              "restore_command = 'cp %f %p'\nrecovery_target_name = 'x'\nsearch_path = 'it''s'\n"
              "work_mem = '9MB'\n");
    static_cast<void>(UndoActivation(data_));
    Write(InStage("backup_ext_stage/postgresql.auto.conf"), origins);
    Write(InStage("recovery.signal"), "");
  }
}

TEST_F(ActivationTest, AStageThatWasStartedNeedsNoRecovery) {
  MakeOld();
  MakeStage();
  RemoveFile(InStage("recovery.signal"));
  static_cast<void>(Activate(Request()));
  EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"),
            "# by hand\nwork_mem = '8MB'\nport = 1111\n");
}

TEST_F(ActivationTest, UndoKeepsWhatAlterSystemChanged) {
  MakeOld();
  MakeStage();
  RemoveFile(InStage("recovery.signal"));
  static_cast<void>(Activate(Request()));
  Write(data_ + "/postgresql.auto.conf", "work_mem = '77MB'\n");
  static_cast<void>(UndoActivation(data_));
  EXPECT_THAT(ReadText(InStage("postgresql.auto.conf")), HasSubstr("listen_addresses = ''"));
  EXPECT_EQ(ReadStageMarker(stage_)->role, StageRole::kStaged);
  static_cast<void>(Activate(Request()));
  EXPECT_EQ(ReadText(data_ + "/postgresql.auto.conf"), "work_mem = '77MB'\n");
}

// After the kill: one of the two is in place, and whatever is called next ends well.
TEST_F(ActivationTest, KilledAtEveryStepOfActivate) {
  MakeOld();
  MakeStage();
  int steps = 1;
  for (;; ++steps) {
    SCOPED_TRACE(steps);
    const auto run = [&](const std::function<void(std::string_view)>& step_done) {
      ActivationRequest request = Request();
      request.step_done = step_done;
      static_cast<void>(Activate(request));
    };
    const bool killed = KillAfter(steps, run) != 0;
    ExpectOneOfTwo();
    static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
    if (!killed) break;
    KillAfter(steps, run);
    // Killed after the very last step it is done already.
    if (ReadActivationJournal(data_)->state != ActivationState::kActivated) {
      static_cast<void>(Activate(Request()));
    }
    ExpectActivated();
    static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
    KillAfter(steps, run);
    const Snapshot killed_at = SnapshotOf(directory_.path());
    if (ReadActivationJournal(data_)->state != ActivationState::kActivated) {
      EXPECT_THAT(CheckActivation(Request()).notices[0], HasSubstr("was interrupted"));
    }
    EXPECT_EQ(SnapshotOf(directory_.path()), killed_at);
    static_cast<void>(FinishInterrupted(data_));
    ExpectOneOfTwo();
    if (ReadActivationJournal(data_)) static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
  }
  EXPECT_EQ(steps, 8);
}

TEST_F(ActivationTest, KilledAtEveryStepOfUndo) {
  MakeOld();
  MakeStage();
  int steps = 1;
  for (;; ++steps) {
    SCOPED_TRACE(steps);
    const auto run = [&](const std::function<void(std::string_view)>& step_done) {
      static_cast<void>(UndoActivation(data_, step_done));
    };
    static_cast<void>(Activate(Request()));
    const bool killed = KillAfter(steps, run) != 0;
    ExpectOneOfTwo();
    if (ReadActivationJournal(data_)) static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
    EXPECT_TRUE(was_served_);
    if (!killed) break;
    static_cast<void>(Activate(Request()));
    KillAfter(steps, run);
    static_cast<void>(Activate(Request()));
    ExpectActivated();
    static_cast<void>(UndoActivation(data_));
  }
  EXPECT_EQ(steps, 8);
}

// Nobody is killed, but a step fails: all is as it was.
TEST_F(ActivationTest, FailsAtEveryStepOfActivate) {
  MakeStage();
  for (const bool has_old : {false, true}) {
    if (has_old) MakeOld();
    Remember();
    int steps = 1;
    for (bool failed = true; failed; ++steps) {
      SCOPED_TRACE(steps);
      int count = 0;
      ActivationRequest request = Request();
      request.step_done = [&](std::string_view) {
        if (++count == steps) throw Error(ErrorCode::kNoSpace, "no space");
      };
      const auto error = ErrorOf([&] { static_cast<void>(Activate(request)); });
      failed = error.has_value();
      if (!failed) break;
      EXPECT_EQ(error->message(), "no space");
      EXPECT_EQ(error->detail(), "");
      ExpectAsBefore();
      EXPECT_FALSE(was_served_);
    }
    EXPECT_EQ(steps, 8);
    static_cast<void>(UndoActivation(data_));
    static_cast<void>(RemoveFile(InStage("backup_ext_stage/served")));
    ExpectAsBefore();
  }
}

// An undo that fails is finished by the next call.
TEST_F(ActivationTest, FailsAtEveryStepOfUndo) {
  MakeOld();
  MakeStage();
  int steps = 1;
  for (;; ++steps) {
    SCOPED_TRACE(steps);
    static_cast<void>(Activate(Request()));
    int count = 0;
    const auto error = ErrorOf([&] {
      static_cast<void>(UndoActivation(data_, [&](std::string_view) {
        if (++count == steps) throw Error(ErrorCode::kNoSpace, "no space");
      }));
    });
    ExpectOneOfTwo();
    if (ReadActivationJournal(data_)) static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
    if (!error) break;
  }
  EXPECT_EQ(steps, 8);
}

// A file system that cannot exchange two names: a third one is used, and the crash can come
// between.
TEST_F(ActivationTest, CrashBetweenTwoRenames) {
  MakeOld();
  MakeStage();
  const auto stop_after = [&](int steps) {
    KillAfter(steps, [&](const std::function<void(std::string_view)>& step_done) {
      ActivationRequest request = Request();
      request.step_done = step_done;
      static_cast<void>(Activate(request));
    });
  };
  stop_after(4);  // before the exchange
  RenameDurably(data_, data_ + ".backup_ext_parked");
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
  EXPECT_FALSE(was_served_);  // rolled back
  stop_after(4);
  RenameDurably(data_, data_ + ".backup_ext_parked");
  RenameDurably(stage_, data_);
  static_cast<void>(FinishInterrupted(data_));
  ExpectActivated();
  ActivationJournal journal = *ReadActivationJournal(data_);
  journal.state = ActivationState::kUndoing;
  WriteActivationJournal(journal);
  RenameDurably(data_, data_ + ".backup_ext_parked");
  static_cast<void>(FinishInterrupted(data_));
  EXPECT_EQ(ReadText(data_ + "/postgresql.conf"), "# old\n");
  EXPECT_EQ(StageNow(), staged_);
  EXPECT_TRUE(was_served_);
}

TEST_F(ActivationTest, NoDataDirectoryYet) {
  MakeStage();
  for (const bool is_empty : {false, true}) {
    if (is_empty) MakeDirectory(data_);
    const ActivationReport report = Activate(Request());
    EXPECT_EQ(report.other_directory, "");
    EXPECT_EQ(ReadText(data_ + "/pg_tblspc/16400/x"), "in the tablespace");
    EXPECT_FALSE(StatLink(stage_));
    static_cast<void>(UndoActivation(data_));
    ExpectAsBefore();
  }
}

TEST_F(ActivationTest, DebiansFilesStayInForce) {
  MakeOld();
  RemoveFile(data_ + "/postgresql.conf");
  MakeDebianStage();
  EXPECT_TRUE(StatLink(InStage("postgresql.conf")));
  static_cast<void>(Activate(Request()));
  EXPECT_FALSE(StatLink(data_ + "/postgresql.conf"));
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
}

TEST_F(ActivationTest, OnABareHostTheCopiesOfDebiansFilesAreInForce) {
  MakeDebianStage();
  static_cast<void>(Activate(Request()));
  EXPECT_THAT(ReadText(data_ + "/postgresql.conf"), HasSubstr("work_mem = '9MB'"));
  EXPECT_EQ(ReadText(data_ + "/pg_hba.conf"), "local all all peer\n");
}

TEST_F(ActivationTest, AReplacedIncludeComesBack) {
  MakeOld();
  backup_.AddMinimum();
  std::erase_if(backup_.first, [](const auto& e) { return e.path == "postgresql.conf"; });
  backup_.AddFile("postgresql.conf", "include '/etc/shared.conf'\n");
  Commit();
  EXPECT_THAT(ReadText(InStage("postgresql.conf")), HasSubstr("# Written by backup_ext"));
  static_cast<void>(Activate(Request()));
  EXPECT_EQ(ReadText(data_ + "/postgresql.conf"), "include '/etc/shared.conf'\n");
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
}

TEST_F(ActivationTest, ThroughALinkToTheDataDirectory) {
  MakeOld();
  MakeStage();
  std::filesystem::create_symlink(data_, directory_ / "link");
  ActivationRequest request = Request();
  request.data_directory = directory_ / "link";
  static_cast<void>(Activate(request));
  EXPECT_EQ(ReadLink(directory_ / "link"), data_);
  ExpectActivated();
  static_cast<void>(UndoActivation(directory_ / "link"));
  ExpectAsBefore();
}

TEST_F(ActivationTest, NamesThatAreNotUtf8) {
  data_ = directory_ / "m\xE4in %41 \n";
  stage_ = directory_ / "st\xE4ge\\";
  MakeOld();
  MakeStage();
  static_cast<void>(Activate(Request()));
  ExpectActivated();
  EXPECT_EQ(ReadActivationJournal(data_)->stage_directory, stage_);
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
  WriteNextStageMark(data_, {stage_});
  EXPECT_EQ(ReadNextStageMark(data_)->stage_directory, stage_);
  EXPECT_FALSE(ReadNextStageMark(data_)->replace_other_cluster);
  WriteNextStageMark(data_, {stage_, true});
  EXPECT_EQ(ReadNextStageMark(data_)->stage_directory, stage_);
  EXPECT_TRUE(ReadNextStageMark(data_)->replace_other_cluster);
}

TEST_F(ActivationTest, TellsOfALinkedWalDirectory) {
  MakeOld();
  MakeStage();
  MakeDirectory(directory_ / "wal");
  std::filesystem::create_symlink(directory_ / "wal", data_ + "/pg_wal");
  const ActivationReport report = Activate(Request());
  ASSERT_EQ(report.notices.size(), 2U);
  EXPECT_THAT(report.notices[1], HasSubstr("pg_wal of the server so far is a link"));
  EXPECT_TRUE(std::filesystem::is_directory(std::filesystem::symlink_status(data_ + "/pg_wal")));
  EXPECT_EQ(ReadLink(stage_ + "/pg_wal"), directory_ / "wal");
}

TEST_F(ActivationTest, RefusesWhatCannotBe) {
  MakeOld();
  MakeStage();
  ActivationRequest request = Request();
  request.stage_directory = directory_ / "nowhere";
  ExpectRefused("There is no stage", request);
  request.stage_directory = data_;
  ExpectRefused("There is no stage", request);
  request = Request();
  request.data_directory = stage_ + "/base";
  ExpectRefused("lies in or contains", request);
  request.data_directory = directory_ / "old_location/x/y";
  ExpectRefused("does not exist", request);
  request.data_directory = directory_ / "repository";
  ExpectRefused("has no PG_VERSION", request);
  request.data_directory = "/proc";
  ExpectRefused("", request);
}

TEST_F(ActivationTest, RefusesAnotherClusterUnlessTold) {
  MakeOld(1234);
  MakeStage();
  ExpectRefused("its system identifier is 1234, the stage's is 7654321098765432109", Request());
  ActivationRequest request = Request();
  request.other_cluster = OtherCluster::kReplace;
  static_cast<void>(Activate(request));
  ExpectActivated();
}

TEST_F(ActivationTest, RefusesAnotherVersion) {
  MakeOld();
  Write(data_ + "/PG_VERSION", "14\n");
  MakeStage();
  ExpectRefused("It is of PostgreSQL 15", Request());
}

TEST_F(ActivationTest, RefusesAnUnfinishedStage) {
  MakeOld();
  MakeStage();
  RemoveFile(InStage("global/pg_control"));
  Remember();
  ExpectRefused("It is not finished", Request());
  EXPECT_TRUE(ErrorOf([&] { static_cast<void>(MarkForNextStart(Request())); }));
}

TEST_F(ActivationTest, RefusesAStageIntoWhichARestoreWasBegun) {
  MakeOld();
  MakeStage();
  StageMarker marker = *ReadStageMarker(stage_);
  marker.building = true;
  Write(StageMarkerPath(stage_), EncodeStageMarker(marker));
  Remember();
  ExpectRefused("It is not finished", Request());
}

TEST_F(ActivationTest, RefusesAStageWithoutItsVersion) {
  MakeOld();
  MakeStage();
  RemoveFile(InStage("PG_VERSION"));
  Remember();
  ExpectRefused("It is damaged: its PG_VERSION is missing", Request());
}

// But for a running server, a mark takes what an activation takes.
TEST_F(ActivationTest, MarksOnlyWhatCanBeActivated) {
  MakeOld(1234);
  MakeStage();
  const auto refused = [&](const ActivationRequest& request, const char* text) {
    const auto dry = ErrorOf([&] { static_cast<void>(CheckForNextStart(request)); });
    const auto error = ErrorOf([&] { static_cast<void>(MarkForNextStart(request)); });
    ASSERT_TRUE(error) << text;
    ASSERT_TRUE(dry) << text;
    EXPECT_THAT(error->detail(), HasSubstr(text));
    EXPECT_EQ(dry->detail(), error->detail());
    EXPECT_FALSE(ReadNextStageMark(request.data_directory));
  };
  refused(Request(), "is of another cluster");
  ActivationRequest request = Request();
  request.data_directory = directory_ / "repository";
  refused(request, "has no PG_VERSION");
  request.data_directory = "/proc";
  refused(request, "");
  request = Request();
  request.other_cluster = OtherCluster::kReplace;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(data_);
  Write(data_ + "/postmaster.pid", fmt::format("{}\n", getpid()));
  EXPECT_TRUE(ErrorOf([&] { static_cast<void>(Activate(request)); }));
  static_cast<void>(CheckForNextStart(request));
  EXPECT_FALSE(ReadNextStageMark(data_));
  EXPECT_EQ(MarkForNextStart(request).stage_id, stage_id_);
  std::filesystem::current_path(before);
  EXPECT_TRUE(ReadNextStageMark(data_)->replace_other_cluster);
}

TEST_F(ActivationTest, RefusesTablespacesThatAreInUse) {
  MakeOld();
  MakeStage();
  RemoveFile(InStage("pg_tblspc/16400"));
  std::filesystem::create_symlink(directory_ / "old_location", InStage("pg_tblspc/16400"));
  Remember();
  ExpectRefused("uses for tablespace 16400", Request());
  std::filesystem::remove(InStage("pg_tblspc/16400"));
  std::filesystem::create_symlink(directory_ / "gone", InStage("pg_tblspc/16400"));
  Remember();
  ExpectRefused("does not exist", Request());
}

TEST_F(ActivationTest, RefusesARunningServer) {
  MakeOld();
  MakeStage();
  for (const std::string& place : {data_, stage_}) {
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(place);
    Write(place + "/postmaster.pid", fmt::format("{}\n", getpid()));
    Remember();
    ExpectRefused("a server is running in", Request());
    RemoveFile(place + "/postmaster.pid");
    std::filesystem::current_path(before);
    Remember();
  }
  static_cast<void>(Activate(Request()));
  std::filesystem::current_path(data_);
  Write(data_ + "/postmaster.pid", fmt::format("{}\n", getpid()));
  const auto error = ErrorOf([&] { static_cast<void>(UndoActivation(data_)); });
  std::filesystem::current_path("/");
  ASSERT_TRUE(error);
  EXPECT_THAT(error->message(), HasSubstr("a server is running in"));
}

// All that can be seen of a server in another container is its lock.
TEST_F(ActivationTest, RefusesAServerThatHoldsItsLock) {
  MakeOld();
  MakeStage();
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  for (const std::string& place : {data_, stage_}) {
    const std::string path = place + "/postmaster.pid";
    Write(path, fmt::format("{}\n", gone));
    Remember();
    {
      const FileDescriptor fd = OpenFile(path, O_RDONLY);
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_whence = SEEK_SET;
      ASSERT_EQ(fcntl(fd.get(), F_OFD_SETLK, &lock), 0);
      ExpectRefused("a server is running in", Request());
    }
    // After a crash the file is left over, and nobody has the lock.
    static_cast<void>(CheckActivation(Request()));
    RemoveFile(path);
  }
}

TEST_F(ActivationTest, UndoNeedsBothDirectories) {
  MakeOld();
  MakeStage();
  EXPECT_EQ(ErrorOf([&] { static_cast<void>(UndoActivation(data_)); })->code(),
            ErrorCode::kNotFound);
  static_cast<void>(Activate(Request()));
  EXPECT_THAT(ErrorOf([&] { static_cast<void>(Activate(Request())); })->detail(),
              HasSubstr("was activated already"));
  RenameDurably(stage_, stage_ + ".away");
  EXPECT_THAT(ErrorOf([&] { static_cast<void>(UndoActivation(data_)); })->detail(),
              HasSubstr("does not hold the directory that was replaced"));
  RenameDurably(stage_ + ".away", stage_);
  static_cast<void>(UndoActivation(data_));
  ExpectAsBefore();
}

TEST_F(ActivationTest, WhatWasReplacedIsDiscardedAsTheStage) {
  MakeOld();
  MakeStage();
  const std::string staging = directory_ / "stages";
  Stage description;
  description.stage_id = stage_id_;
  description.directory = stage_;
  description.state = "ready";
  WriteStage(staging, description);
  static_cast<void>(Activate(Request()));
  EXPECT_EQ(FindStage(staging, stage_id_).state, "activated");
  DiscardStage(staging, stage_id_);
  EXPECT_FALSE(StatLink(stage_));
  EXPECT_EQ(ReadText(data_ + "/pg_tblspc/16400/x"), "in the tablespace");
  EXPECT_TRUE(StatLink(directory_ / "old_location"));
}

}  // namespace
}  // namespace backup_ext
