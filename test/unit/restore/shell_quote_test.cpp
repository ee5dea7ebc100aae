// Text for a shell.
#include "restore/shell_quote.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace backup_ext {
namespace {

TEST(ShellQuote, PlainWordsStayAsTheyAre) {
  EXPECT_EQ(ShellQuote("/usr/lib/postgresql/15/bin/pg_ctl"), "/usr/lib/postgresql/15/bin/pg_ctl");
}

TEST(ShellQuote, AShellReadsTheWordBack) {
  for (const char* word : {"a b", "it's", "$HOME", "`id`", "a;b", "\\", "~", "*"}) {
    FILE* shell = popen(("printf %s " + ShellQuote(word)).c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::array<char, 100> output{};
    const size_t length = fread(output.data(), 1, output.size(), shell);
    pclose(shell);
    EXPECT_EQ(std::string(output.data(), length), word);
  }
  EXPECT_EQ(ShellQuote(""), "''");
}

}  // namespace
}  // namespace backup_ext
