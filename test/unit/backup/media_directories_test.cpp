#include "backup/media_directories.h"

#include "backup_test_support.h"

namespace backup_ext {
namespace {

TEST(MediaDirectories, ReadsAList) {
  struct Case {
    std::string text;
    std::vector<std::string> directories;
  };
  const std::vector<Case> cases = {
      {"", {}},
      {"  ", {}},
      {"/srv/a", {"/srv/a"}},
      {" /srv/a/ ,/srv/b//", {"/srv/a", "/srv/b"}},
      {"/srv/with blank , \"/srv/b, c\"", {"/srv/with blank", "/srv/b, c"}},
      {"\"/srv/a \"\"quoted\"\" \", /b", {"/srv/a \"quoted\" ", "/b"}},
      {"/srv/caf\xe9", {"/srv/caf\xe9"}},
      {"/srv/a..b", {"/srv/a..b"}},
  };
  for (const Case& c : cases) EXPECT_EQ(ParseMediaDirectories(c.text), c.directories) << c.text;
}

TEST(MediaDirectories, RefusesWhatNamesNone) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"srv", "must be an absolute path"},
      {"/", "root directory"},
      {"//", "root directory"},
      {"/a,", "is empty"},
      {",/a", "is empty"},
      {"/a,,/b", "is empty"},
      {"/a,/a/", "named twice"},
      {"/a/../b", "\"..\""},
      {"/a/..", "\"..\""},
      {"/a\nb", "control characters"},
      {"\"/a", "does not end"},
      {"\"/a\" /b", "comma"},
      {"/" + std::string(1001, 'x'), "bytes long"},
  };
  for (const auto& [text, problem] : cases) {
    const auto error = ErrorOf([&, wrong = text] { (void)ParseMediaDirectories(wrong); });
    ASSERT_TRUE(error) << text;
    EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error->message(), testing::HasSubstr(problem)) << text;
  }
}

TEST(MediaDirectories, MustBeApart) {
  const TemporaryDirectory top;
  for (const char* name : {"a", "a/b", "c", "data"}) MakeDirectory(top / name);
  ASSERT_EQ(symlink((top / "data").c_str(), (top / "link").c_str()), 0);
  const std::vector<ReservedDirectory> reserved = {{top / "data", "the data directory"}};
  const auto problem_of = [&](std::vector<std::string> directories) {
    const auto error = ErrorOf([&] { CheckMediaDirectories(directories, reserved); });
    return error ? error->message() : std::string();
  };
  EXPECT_EQ(problem_of({top / "a", top / "c"}), "");
  EXPECT_THAT(problem_of({top / "missing"}), testing::HasSubstr("does not exist"));
  EXPECT_THAT(problem_of({top / "data"}), testing::HasSubstr("apart from the data directory"));
  EXPECT_THAT(problem_of({top.path()}), testing::HasSubstr("apart from the data directory"));
  EXPECT_THAT(problem_of({top / "link"}), testing::HasSubstr("apart from the data directory"));
  EXPECT_THAT(problem_of({top / "a", top / "a/b"}), testing::HasSubstr("overlap"));
  EXPECT_THAT(problem_of({top / "a/b", top / "a"}), testing::HasSubstr("overlap"));
}

}  // namespace
}  // namespace backup_ext
