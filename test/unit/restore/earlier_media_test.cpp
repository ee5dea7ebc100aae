// The media of an earlier stage: taken over or removed where they are the stage's, else left.
#include <sys/stat.h>

#include <fstream>

#include "restore/restore_test_support.h"
#include "restore/stage.h"
#include "restore/stage_marker.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void WriteText(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

class EarlierMediaTest : public RestoreTest {
 protected:
  EarlierMediaTest() {
    backup_.AddMinimum();
    backup_.AddTablespace(16400, "/srv/fast");
    backup_.AddFile("pg_tblspc/16400/x", "y");
    backup_.Commit();
    static_cast<void>(Restore());
  }
  void Mark(const std::string& directory, const StageMarker& marker) {
    MakeDirectories(directory + "/backup_ext_stage");
    WriteText(StageMarkerPath(directory), EncodeStageMarker(marker));
  }
  // As a restore with media leaves them, with a directory that nobody may write to.
  void PutMedia(const std::string& place) {
    StageMarker marker = *ReadStageMarker(stage_);
    marker.media_directory = place;
    Mark(stage_, marker);
    Mark(place, marker);
    MakeDirectories(place + "/1/closed");
    WriteText(place + "/1/closed/file", "of the backup");
    ASSERT_EQ(chmod((place + "/1/closed").c_str(), 0500), 0);
  }
  StageResult Again(const std::function<void()>& pause_point = [] {}) {
    stage_id_ = NewStageId(Now());
    return Restore(pause_point);
  }
  // A refresh that ends as soon as the stage is known as the new one.
  void DieUnderWay() {
    const std::string before = ReadStageMarker(stage_)->stage_id;
    const auto error = ErrorOf([&] {
      (void)Again([&] {
        if (ReadStageMarker(stage_)->stage_id != before) {
          throw Error(ErrorCode::kCanceled, "canceled");
        }
      });
    });
    ASSERT_TRUE(error);
    ASSERT_EQ(error->code(), ErrorCode::kCanceled);
  }
  void Discard() {
    const std::string staging = directory_ / "stages";
    Stage stage;
    stage.stage_id = stage_id_;
    stage.directory = stage_;
    stage.state = "failed";
    WriteStage(staging, stage);
    DiscardStage(staging, stage_id_);
    EXPECT_THAT(TreeOf(staging), IsEmpty());
  }
  void ExpectNothingIsLeft() {
    EXPECT_FALSE(StatLink(stage_));
    EXPECT_FALSE(StatLink(media_));
    EXPECT_FALSE(StatLink(TablespacesDirectory(stage_)));
  }
  std::string media_ = MediaDirectory(stage_);
};

TEST_F(EarlierMediaTest, WithoutMediaTheyAreRemoved) {
  for (const std::string& place : {media_, directory_ / "elsewhere"}) {
    PutMedia(place);
    EXPECT_THAT(Again().removed_media, ElementsAre(place));
    EXPECT_FALSE(StatLink(place));
    EXPECT_TRUE(ReadStageMarker(stage_)->media_directory.empty());
  }
  EXPECT_THAT(Again().removed_media, IsEmpty());
}

TEST_F(EarlierMediaTest, WhatIsNotProvedToBeOursIsLeft) {
  MakeDirectories(media_ + "/1");
  WriteText(media_ + "/1/file", "somebody's");
  const auto expect_left = [&] {
    EXPECT_THAT(Again().removed_media, IsEmpty());
    EXPECT_EQ(ReadText(media_ + "/1/file"), "somebody's");
  };
  expect_left();  // not named
  StageMarker marker = *ReadStageMarker(stage_);
  marker.media_directory = media_;
  Mark(stage_, marker);
  expect_left();  // named, and without a marker
  marker = *ReadStageMarker(stage_);
  marker.media_directory = media_;
  Mark(stage_, marker);
  marker.directory = directory_ / "other";
  Mark(media_, marker);
  expect_left();  // of another stage
  marker = *ReadStageMarker(stage_);
  Mark(media_, marker);
  expect_left();  // marked, and not named: the stage that it was of may be a server by now
}

TEST_F(EarlierMediaTest, DirectoriesOfSomebodyAreLeft) {
  StageMarker marker = *ReadStageMarker(stage_);
  marker.media_directory = media_;
  Mark(stage_, marker);
  MakeDirectories(media_ + "/mount");
  EXPECT_THAT(Again().removed_media, IsEmpty());
  EXPECT_TRUE(StatLink(media_ + "/mount"));
}

TEST_F(EarlierMediaTest, OnesThatWereBegunAreRemoved) {
  MakeDirectories(media_ + "/backup_ext_stage");
  static_cast<void>(Again());
  EXPECT_FALSE(StatLink(media_));
}

TEST_F(EarlierMediaTest, AnInterruptedRefreshIsContinued) {
  PutMedia(media_);
  DieUnderWay();
  EXPECT_THAT(ReadStageMarker(stage_)->earlier_media, ElementsAre(media_));
  EXPECT_TRUE(StatLink(media_ + "/1/closed/file"));
  DieUnderWay();
  EXPECT_THAT(ReadStageMarker(stage_)->earlier_media, ElementsAre(media_));
  static_cast<void>(Again());
  EXPECT_FALSE(StatLink(media_));
  EXPECT_THAT(ReadStageMarker(stage_)->earlier_media, IsEmpty());
}

TEST_F(EarlierMediaTest, AnInterruptedRefreshIsDiscarded) {
  PutMedia(media_);
  DieUnderWay();
  Discard();
  ExpectNothingIsLeft();
}

TEST_F(EarlierMediaTest, OneThatDiedBetweenItsMarkersIsDiscarded) {
  PutMedia(media_);
  StageMarker marker = *ReadStageMarker(stage_);
  stage_id_ = marker.stage_id = NewStageId(Now());
  Mark(stage_, marker);
  Discard();
  ExpectNothingIsLeft();
}

TEST_F(EarlierMediaTest, OneThatDiedBeforeItsMarkersIsDiscarded) {
  MakeDirectories(media_ + "/backup_ext_stage");
  Discard();
  ExpectNothingIsLeft();
}

TEST_F(EarlierMediaTest, DiscardLeavesThoseOfAnother) {
  PutMedia(media_);
  StageMarker marker = *ReadStageMarker(media_);
  marker.stage_id = NewStageId(Now());
  marker.directory = directory_ / "other";
  Mark(media_, marker);
  const auto error = ErrorOf([&] { Discard(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_TRUE(StatLink(media_ + "/1/closed/file"));
  EXPECT_TRUE(StatLink(stage_));
}

// It may have become the server, and what it replaced may be gone by now.
TEST_F(EarlierMediaTest, MediaOfAStageThatIsGoneAreLeft) {
  PutMedia(media_);
  RemoveTree(stage_);
  RemoveTree(TablespacesDirectory(stage_));
  Discard();
  EXPECT_TRUE(StatLink(media_ + "/1/closed/file"));
}

}  // namespace
}  // namespace backup_ext
