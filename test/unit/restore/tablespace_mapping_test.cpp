#include "restore/tablespace_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TablespaceMapping Parse(std::string_view text) {
  TablespaceMapping mapping;
  AddTablespaceMapping(text, &mapping);
  return mapping;
}

TEST(TablespaceMapping, ReadsWhatPgBasebackupReads) {
  EXPECT_THAT(Parse("/old=/new"), ElementsAre(Pair("/old", "/new")));
  EXPECT_THAT(Parse("/a\\=b=/c\\=d"), ElementsAre(Pair("/a=b", "/c=d")));
  EXPECT_THAT(Parse("/back\\slash=/new//place/"), ElementsAre(Pair("/back\\slash", "/new/place")));
}

TEST(TablespaceMapping, RefusesWhatIsNone) {
  struct Case {
    const char* text;
    const char* problem;
  };
  for (const Case& c : {Case{"/old", "it has no \"=\""}, Case{"", "it has no \"=\""},
                        Case{"/a=/b=/c", "it has more than one \"=\""},
                        Case{"old=/new", "the old directory is not absolute"},
                        Case{"/old=new", "the new directory is not absolute"},
                        Case{"/old=", "the new directory is not absolute"}}) {
    const auto error = ErrorOf([&] { (void)Parse(c.text); });
    ASSERT_TRUE(error) << c.text;
    EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument) << c.text;
    EXPECT_THAT(error->message(), HasSubstr(c.problem)) << c.text;
  }
  TablespaceMapping mapping = Parse("/old=/new");
  EXPECT_THAT(ErrorOf([&] { AddTablespaceMapping("/old=/other", &mapping); })->message(),
              HasSubstr("is mapped already"));
}

TEST(TablespaceMapping, IsThatOfTheBackupsTablespaces) {
  const std::map<uint32_t, std::string> origins = {{1001, "/a"}, {1002, "/b"}};
  EXPECT_THAT(MappedTablespaces({{"/b", "/new"}}, origins), ElementsAre(Pair(1002, "/new")));
  EXPECT_THAT(ErrorOf([&] {
                (void)MappedTablespaces({{"/c", "/new"}}, origins);
              })->message(),
              HasSubstr("no tablespace in directory \"/c\""));
  EXPECT_THAT(ErrorOf([&] {
                (void)MappedTablespaces({{"/a", "/new"}, {"/b", "/new"}}, origins);
              })->message(),
              HasSubstr("two tablespaces are mapped to directory \"/new\""));
}

}  // namespace
}  // namespace backup_ext
