// Tablespaces of a stage where the user wants them.
#include <filesystem>

#include "restore/activation.h"
#include "restore/restore_test_support.h"
#include "restore/stage.h"
#include "restore/stage_marker.h"
#include "restore/tablespace_mapping.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

class MappedTablespacesTest : public RestoreTest {
 protected:
  void Build() {
    backup_.AddMinimum();
    backup_.AddTablespace(16400, "/srv/a");
    backup_.AddFile("pg_tblspc/16400/x", "a");
    backup_.AddTablespace(16401, "/srv/b");
    backup_.AddFile("pg_tblspc/16401/x", "b");
    backup_.Commit();
  }
  StageResult RestoreMapped(const TablespaceMapping& mapping) {
    StageOptions options = Options();
    options.mapping = mapping;
    return RestoreToStage(backup_.repository, backup_.record, options, &progress_, [] {});
  }
};

TEST_F(MappedTablespacesTest, LieWhereTheyAreWanted) {
  Build();
  MakeDirectory(directory_ / "empty");
  static_cast<void>(
      RestoreMapped({{"16400", directory_ / "empty"}, {"/srv/b", directory_ / "new"}}));
  EXPECT_EQ(ReadText(directory_ / "empty/x"), "a");
  EXPECT_EQ(ReadText(InStage("pg_tblspc/16401/x")), "b");
  EXPECT_EQ(ReadLink(InStage("pg_tblspc/16401")), directory_ / "new");
  EXPECT_THAT(ReadText(InStage("tablespace_map")), HasSubstr("16400 " + directory_ / "empty\n"));
  EXPECT_FALSE(StatLink(stage_ + ".tablespaces"));
  EXPECT_EQ(ReadStageMarker(directory_ / "new")->stage_id, stage_id_);
}

TEST_F(MappedTablespacesTest, GoWithTheStageThatIsDiscarded) {
  Build();
  static_cast<void>(RestoreMapped({{"16400", directory_ / "a"}}));
  Stage description;
  description.stage_id = stage_id_;
  description.directory = stage_;
  description.state = "ready";
  WriteStage(directory_ / "stages", description);
  // Somebody else's by now: nothing at all is removed.
  RenameDurably(directory_ / "a", directory_ / "kept");
  MakeDirectory(directory_ / "a");
  WriteFileDurably(directory_ / "a/theirs", AsBytes("x"));
  EXPECT_TRUE(ErrorOf([&] { DiscardStage(directory_ / "stages", stage_id_); }));
  EXPECT_TRUE(StatLink(InStage("PG_VERSION")));
  EXPECT_TRUE(StatLink(stage_ + ".tablespaces/16401/x"));
  std::filesystem::remove_all(directory_ / "a");
  RenameDurably(directory_ / "kept", directory_ / "a");
  DiscardStage(directory_ / "stages", stage_id_);
  for (const std::string& path : {directory_ / "a", stage_, stage_ + ".tablespaces"}) {
    EXPECT_FALSE(StatLink(path)) << path;
  }
}

// What was discarded is the replaced directory; the tablespaces are the server's by now.
TEST_F(MappedTablespacesTest, StayWhenTheStageIsActivated) {
  Build();
  static_cast<void>(RestoreMapped({{"16400", directory_ / "a"}}));
  const std::string data = directory_ / "main";
  MakeDirectories(data + "/global");
  WriteFileDurably(data + "/PG_VERSION", AsBytes("15\n"));
  Stage description;
  description.stage_id = stage_id_;
  description.directory = stage_;
  description.state = "ready";
  WriteStage(directory_ / "stages", description);
  static_cast<void>(Activate({stage_, data, OtherCluster::kRefuse, {}}));
  EXPECT_EQ(ReadLink(data + "/pg_tblspc/16400"), directory_ / "a");
  DiscardStage(directory_ / "stages", stage_id_);
  EXPECT_EQ(ReadText(data + "/pg_tblspc/16400/x"), "a");
  EXPECT_EQ(ReadText(data + "/pg_tblspc/16401/x"), "b");
}

TEST_F(MappedTablespacesTest, AFailedRestoreLeavesNothing) {
  Build();
  MakeDirectory(directory_ / "empty");
  StageOptions options = Options();
  options.mapping = {{"16400", directory_ / "empty"}, {"16401", directory_ / "new"}};
  int pauses = 0;
  EXPECT_TRUE(ErrorOf([&] {
    static_cast<void>(RestoreToStage(backup_.repository, backup_.record, options, &progress_, [&] {
      if (progress_.phase == Phase::kSyncing && ++pauses == 1) {
        throw Error(ErrorCode::kCanceled, "canceled");
      }
    }));
  }));
  EXPECT_FALSE(StatLink(stage_));
  EXPECT_FALSE(StatLink(directory_ / "new"));
  EXPECT_TRUE(ReadDirectory(directory_ / "empty")->empty());
}

TEST_F(MappedTablespacesTest, RefusesPlacesBeforeAnythingIsWritten) {
  Build();
  MakeDirectory(directory_ / "full");
  WriteFileDurably(directory_ / "full/x", AsBytes("x"));
  const std::vector<std::pair<TablespaceMapping, const char*>> cases = {
      {{{"16499", directory_ / "a"}}, "has no tablespace 16499"},
      {{{"/srv/none", directory_ / "a"}}, "no tablespace in directory"},
      {{{"16400", directory_ / "full"}}, "is not empty"},
      {{{"16400", directory_ / "repository/a"}}, "cannot restore into"},
      {{{"16400", stage_}}, "cannot restore into"},
      {{{"16400", stage_ + "/a"}}, "does not exist"},
      {{{"16400", directory_ / "none/a"}}, "does not exist"},
      {{{"16400", directory_ / "a"}, {"16401", directory_ / "a"}}, "two tablespaces are mapped"},
      {{{"16400", directory_ / "a"}, {"/srv/a", directory_ / "b"}}, "is mapped twice"}};
  for (const auto& [mapping, message] : cases) {
    const auto error =
        ErrorOf([&, &mapping = mapping] { static_cast<void>(RestoreMapped(mapping)); });
    ASSERT_TRUE(error) << message;
    EXPECT_THAT(error->message(), HasSubstr(message));
    EXPECT_FALSE(StatLink(stage_));
    EXPECT_FALSE(StatLink(directory_ / "a"));
  }
}

TEST(TablespaceMap, IsRead) {
  EXPECT_EQ(ParseTablespaceMap(R"({"16400": "/a//b/", "/old": "/new"})"),
            (TablespaceMapping{{"16400", "/a/b"}, {"/old", "/new"}}));
  EXPECT_TRUE(ParseTablespaceMap("{}").empty());
  for (const char* text : {"", "[]", "x", R"({"a": "/b"})", R"({"1": 2})", R"({"1": "b"})",
                           R"({"1": "/a/../b"})", R"({"": "/b"})", R"({"-1": "/b"})"}) {
    EXPECT_TRUE(ErrorOf([&] { static_cast<void>(ParseTablespaceMap(text)); })) << text;
  }
}

}  // namespace
}  // namespace backup_ext
