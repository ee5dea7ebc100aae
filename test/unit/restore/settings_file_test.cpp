// postgresql.conf as text.
#include "restore/settings_file.h"

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(SettingsFile, NamesAreFoundAsTheServerFindsThem) {
  EXPECT_EQ(SettingOfLine("port = 5"), "port");
  EXPECT_EQ(SettingOfLine("  PORT 5"), "port");
  EXPECT_EQ(SettingOfLine("port='5'"), "port");
  EXPECT_EQ(SettingOfLine("\tcron.database_name\t= x"), "cron.database_name");
  EXPECT_EQ(SettingOfLine("# port = 5"), "");
  EXPECT_EQ(SettingOfLine(""), "");
  EXPECT_EQ(SettingOfLine("'port' = 5"), "");
  EXPECT_EQ(SettingOfLine("ports = 5"), "ports");
}

TEST(SettingsFile, QuotedValuesComeBack) {
  for (const char* value : {"", "plain", "it's", "back\\slash", "a 'b' # c"}) {
    EXPECT_EQ(ValueOfLine("name = " + QuoteSetting(value)), value);
  }
  EXPECT_EQ(QuoteSetting("two\nlines"), "'two\\nlines'");
  EXPECT_EQ(ValueOfLine("name = on # comment"), "on");
  EXPECT_EQ(ValueOfLine("name on"), "on");
}

TEST(SettingsFile, LinesOfSettingsAreRemoved) {
  EXPECT_EQ(WithoutSettings("a = 1\n# port = 2\nPort = 3\ninclude 'x'\nportable = 4", {"port"}),
            "a = 1\n# port = 2\nportable = 4\n");
}

TEST(SettingsFile, TextThatLeadsElsewhereIsFound) {
  EXPECT_FALSE(LeadsElsewhere("#data_directory = 'x'\nport = 1\ninclude_dir = 'conf.d'\n"));
  EXPECT_TRUE(LeadsElsewhere("port = 1\n Data_Directory='x'"));
  EXPECT_TRUE(LeadsElsewhere("include '/etc/x.conf'"));
  EXPECT_TRUE(LeadsElsewhere("include_if_exists = '../x.conf'"));
}

TEST(SettingsFile, GeneratedTextHoldsNoPlaceOfTheOrigin) {
  const std::string text = GenerateConfiguration({{"work_mem", "4096"},
                                                  {"hba_file", "/etc/hba"},
                                                  {"Data_Directory", "/srv"},
                                                  {"include", "/etc/evil"},
                                                  {"x\ninclude '/etc/evil'", ""},
                                                  {"server_version", "15"},
                                                  {"cron.database_name", "a\nb"}});
  EXPECT_THAT(text, HasSubstr("\nwork_mem = '4096'\n"));
  EXPECT_THAT(text, HasSubstr("\ncron.database_name = 'a\\nb'\n"));
  EXPECT_THAT(text, Not(HasSubstr("evil")));
  EXPECT_THAT(text, Not(HasSubstr("/etc")));
  EXPECT_THAT(text, Not(HasSubstr("/srv")));
  EXPECT_THAT(text, Not(HasSubstr("server_version")));
}

}  // namespace
}  // namespace backup_ext
