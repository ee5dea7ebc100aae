// Where a restore may write.
#include "restore/target_place.h"

#include <unistd.h>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

TEST(TargetPlace, PathsAreCleaned) {
  EXPECT_EQ(CleanDirectoryPath("/a//b/"), "/a/b");
  for (const char* path : {"", "a/b", "/", "/a/../b", "/a/./b", "/a\nb"}) {
    const auto error = ErrorOf([&] { static_cast<void>(CleanDirectoryPath(path)); });
    ASSERT_TRUE(error) << path;
    EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
  }
}

class TargetPlaceTest : public testing::Test {
 protected:
  void ExpectRefused(const std::string& place, ErrorCode code, const char* text,
                     const std::vector<std::string>& forbidden = {}) {
    const auto error = ErrorOf([&] { CheckTargetPlace(place, forbidden); });
    ASSERT_TRUE(error) << place;
    EXPECT_EQ(error->code(), code);
    EXPECT_THAT(error->message() + " " + error->detail(), HasSubstr(text));
    EXPECT_FALSE(error->hint().empty());
  }
  TemporaryDirectory directory_;
};

TEST_F(TargetPlaceTest, EmptyOrMissingIsFine) {
  EXPECT_NO_THROW(CheckTargetPlace(directory_ / "new", {directory_ / "other"}));
  MakeDirectory(directory_ / "new");
  EXPECT_NO_THROW(CheckTargetPlace(directory_ / "new", {directory_ / "other"}));
}

TEST_F(TargetPlaceTest, NotEmptyIsRefused) {
  MakeDirectory(directory_ / "new");
  WriteFileDurably(directory_ / "new/precious", AsBytes("x"));
  ExpectRefused(directory_ / "new", ErrorCode::kAlreadyExists, "It holds \"precious\"");
  EXPECT_EQ(ReadText(directory_ / "new/precious"), "x");
}

TEST_F(TargetPlaceTest, TablespacesOfAnotherStageAreRefused) {
  MakeDirectories(directory_ / "new.tablespaces/16400");
  ExpectRefused(directory_ / "new", ErrorCode::kAlreadyExists, "new.tablespaces\" is not empty");
}

TEST_F(TargetPlaceTest, MissingParentIsRefused) {
  ExpectRefused(directory_ / "a/b", ErrorCode::kNotFound, "/a\" does not exist");
}

TEST_F(TargetPlaceTest, LinksAndFilesAreRefused) {
  MakeDirectory(directory_ / "real");
  ASSERT_EQ(symlink((directory_ / "real").c_str(), (directory_ / "link").c_str()), 0);
  WriteFileDurably(directory_ / "file", AsBytes(""));
  ExpectRefused(directory_ / "link", ErrorCode::kInvalidArgument, "symbolic link");
  ExpectRefused(directory_ / "file", ErrorCode::kInvalidArgument, "is not a directory");
}

TEST_F(TargetPlaceTest, InsideADataDirectoryIsRefused) {
  MakeDirectories(directory_ / "data/sub");
  WriteFileDurably(directory_ / "data/PG_VERSION", AsBytes("15\n"));
  ExpectRefused(directory_ / "data/sub/new", ErrorCode::kInvalidArgument, "is a data directory");
}

// Discarding the outer one would remove the inner one.
TEST_F(TargetPlaceTest, InsideAnotherStageIsRefused) {
  MakeDirectories(directory_ / "stage.tablespaces/backup_ext_stage");
  ExpectRefused(directory_ / "stage.tablespaces/new", ErrorCode::kInvalidArgument,
                "is another stage");
}

TEST_F(TargetPlaceTest, ForbiddenPlacesAreRefused) {
  MakeDirectories(directory_ / "live/sub");
  ASSERT_EQ(symlink((directory_ / "live").c_str(), (directory_ / "alias").c_str()), 0);
  const std::string live = directory_ / "live";
  ExpectRefused(directory_ / "live/new", ErrorCode::kInvalidArgument, "which is in use", {live});
  ExpectRefused(directory_ / "alias/new", ErrorCode::kInvalidArgument, "which is in use", {live});
  ExpectRefused(directory_ / "live/sub", ErrorCode::kInvalidArgument, "which is in use", {live});
  ExpectRefused(directory_.path(), ErrorCode::kInvalidArgument, "which is in use", {live});
  ExpectRefused(directory_ / "live/new", ErrorCode::kInvalidArgument, "which is in use",
                {directory_ / "alias"});
  ExpectRefused(directory_ / "new", ErrorCode::kInvalidArgument, "which is in use",
                {directory_ / "new.tablespaces/16400"});
}

TEST_F(RestoreTest, ANotEmptyDirectoryIsUntouched) {
  backup_.AddMinimum();
  backup_.Commit();
  MakeDirectory(stage_);
  WriteFileDurably(InStage("precious"), AsBytes("x"));
  const auto error = ErrorOf([&] { static_cast<void>(Restore()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(TreeOf(stage_), std::vector<std::string>{"precious"});
}

TEST_F(RestoreTest, TheSecondOfTwoRestoresIntoOneDirectoryIsRefused) {
  backup_.AddMinimum();
  backup_.Commit();
  std::optional<Error> second;
  Progress other;
  // The first checked the place already; the second takes it meanwhile.
  bool done = false;
  StageOptions options = Options();
  options.stage_id = "stage-20261123-110000-00000002";
  const auto first = ErrorOf([&] {
    static_cast<void>(Restore([&] {
      if (done) return;
      done = true;
      static_cast<void>(RestoreToStage(backup_.repository, backup_.record, options, &other, [] {}));
    }));
  });
  ASSERT_TRUE(first);
  EXPECT_EQ(first->code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadText(InStage("PG_VERSION")), "15\n");  // the winner's
  EXPECT_THAT(ReadText(InStage("backup_ext_stage/stage.json")), HasSubstr("00000002"));
}

}  // namespace
}  // namespace backup_ext
