// What a data directory remembers, written, read and damaged.
#include "cluster/cluster_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ClusterMemoryTest : public testing::Test {
 protected:
  ClusterMemoryTest()
      : directory_(testing::TempDir() + "cluster_memory." + HexEncode(RandomBytes(8))) {
    MakeDirectory(directory_);
  }
  ~ClusterMemoryTest() override { RemoveTree(directory_); }

  [[nodiscard]] std::string Path() const { return JoinPath(directory_, kClusterMemoryFile); }
  [[nodiscard]] std::string Text() const {
    return std::string(AsText(ReadWholeFile(Path(), 1024 * 1024)));
  }
  void Replace(const std::string& text) const { WriteFileDurably(Path(), AsBytes(text)); }
  [[nodiscard]] std::string ProblemOfReading() const {
    std::string problem;
    EXPECT_FALSE(ReadClusterMemory(directory_, &problem));
    return problem;
  }
  [[nodiscard]] std::vector<std::string> Names() const {
    std::vector<std::string> names;
    const auto entries = ReadDirectory(directory_);
    for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
    return names;
  }
  // Ends with the digest that belongs to it.
  static std::string Sealed(const std::string& text) {
    return text + HexEncode(Xxh3Digest(AsBytes(text))) + "\n";
  }

  const std::string directory_;
  const ClusterMemory memory_{7411122333444555666,
                              "/mnt/backups/main",
                              1'795'516'365'123'456,
                              {"20261123-103245-9f3a2c1b", "20261124-103245-00000001"},
                              "5f0ae1b2-0000-4000-8000-000000000000",
                              {"20261124-103245-00000001"}};
};

TEST_F(ClusterMemoryTest, ComesBackAsItWasWritten) {
  WriteClusterMemory(directory_, memory_);
  std::string problem = "old";
  EXPECT_EQ(ReadClusterMemory(directory_, &problem), memory_);
  EXPECT_EQ(problem, "");
  EXPECT_THAT(Names(), ElementsAre("backup_ext.state"));
}

TEST_F(ClusterMemoryTest, ANewOneTakesThePlaceOfTheOld) {
  WriteClusterMemory(directory_, memory_);
  const ClusterMemory empty;
  WriteClusterMemory(directory_, empty);
  std::string problem;
  EXPECT_EQ(ReadClusterMemory(directory_, &problem), empty);
}

TEST_F(ClusterMemoryTest, NoFileIsNoProblem) { EXPECT_EQ(ProblemOfReading(), ""); }

TEST_F(ClusterMemoryTest, ALocationThatIsNotUtf8ComesBack) {
  ClusterMemory memory = memory_;
  memory.repository = "/mnt/\xe4\xff";
  WriteClusterMemory(directory_, memory);
  std::string problem;
  EXPECT_EQ(ReadClusterMemory(directory_, &problem), memory);
}

TEST_F(ClusterMemoryTest, KeepsTheNewestOfTooManyBackups) {
  ClusterMemory memory = memory_;
  memory.backup_ids.clear();
  for (size_t i = 0; i < kRememberedBackups + 3; ++i) {
    memory.backup_ids.push_back(std::to_string(i));
  }
  WriteClusterMemory(directory_, memory);
  std::string problem;
  const auto read = ReadClusterMemory(directory_, &problem);
  ASSERT_TRUE(read) << problem;
  EXPECT_EQ(read->backup_ids.size(), kRememberedBackups);
  EXPECT_EQ(read->backup_ids.front(), "3");
  EXPECT_EQ(read->backup_ids.back(), memory.backup_ids.back());
}

TEST_F(ClusterMemoryTest, ACopyOfTheDirectoryRemembersNothing) {
  WriteClusterMemory(directory_, memory_);
  const std::string copy = directory_ + ".copy";
  std::filesystem::copy(directory_, copy);
  std::string problem;
  EXPECT_FALSE(ReadClusterMemory(copy, &problem));
  EXPECT_EQ(problem, "");
  RemoveTree(copy);
  // Moved, it is the same one.
  std::filesystem::rename(directory_, copy);
  EXPECT_EQ(ReadClusterMemory(copy, &problem), memory_);
  std::filesystem::rename(copy, directory_);
}

TEST_F(ClusterMemoryTest, EveryTornLengthIsFoundOut) {
  WriteClusterMemory(directory_, memory_);
  const std::string text = Text();
  for (size_t length = 0; length < text.size(); ++length) {
    Replace(text.substr(0, length));
    EXPECT_THAT(ProblemOfReading(), HasSubstr("could not read file")) << length;
  }
  Replace(text + "x");
  EXPECT_THAT(ProblemOfReading(), HasSubstr("does not match its digest"));
}

TEST_F(ClusterMemoryTest, EveryFlippedBitIsFoundOut) {
  WriteClusterMemory(directory_, memory_);
  const std::string text = Text();
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    Replace(changed);
    EXPECT_THAT(ProblemOfReading(), HasSubstr("does not match its digest")) << bit;
  }
}

TEST_F(ClusterMemoryTest, SealedNonsenseIsRefused) {
  WriteClusterMemory(directory_, memory_);
  const std::string written = Text();
  const auto identity = nlohmann::json::parse(written.substr(0, written.rfind('}') + 1))
                            .at("data_directory")
                            .get<std::string>();
  const auto with_identity = [&](std::string text) {
    if (const size_t at = text.find('@'); at != std::string::npos) text.replace(at, 1, identity);
    return text;
  };
  for (
      const std::string text :
      {"", "{", "[]", "7", "{\"version\": 2}", "{\"version\": \"1\"}", "{\"version\": 1}",
       R"({"version": 1, "data_directory": "@", "system_identifier": "x", "repository": "", "repository_created_at": "2026-11-23T10:32:45.123456Z", "backup_ids": []})",
       R"({"version": 1, "data_directory": "@", "system_identifier": "1", "repository": "", "repository_created_at": "now", "backup_ids": []})",
       R"({"version": 1, "data_directory": "@", "system_identifier": "1", "repository": "", "repository_created_at": "2026-11-23T10:32:45.123456Z", "backup_ids": [1]})",
       R"({"version": 1, "data_directory": "@", "system_identifier": "1", "repository": "", "repository_created_at": "2026-11-23T10:32:45.123456Z", "backup_ids": [""]})"}) {
    Replace(Sealed(with_identity(text)));
    EXPECT_NE(ProblemOfReading(), "") << text;
  }
}

TEST_F(ClusterMemoryTest, WhatIsNoRegularFileIsAProblem) {
  MakeDirectory(Path());
  EXPECT_THAT(ProblemOfReading(), HasSubstr("not a regular file"));
  RemoveTree(Path());
  ASSERT_EQ(mkfifo(Path().c_str(), 0600), 0);
  EXPECT_THAT(ProblemOfReading(), HasSubstr("not a regular file"));  // and does not block
}

TEST_F(ClusterMemoryTest, WritingSweepsWhatACrashLeft) {
  for (const char* name : {"backup_ext.state.0123456789abcdef.tmp", "backup_ext.state.old"}) {
    WriteFileDurably(JoinPath(directory_, name), AsBytes("x"));
  }
  WriteClusterMemory(directory_, memory_);
  EXPECT_THAT(Names(), ElementsAre("backup_ext.state", "backup_ext.state.old"));
}

TEST_F(ClusterMemoryTest, TheGroupMayReadItWhereItReadsTheDirectory) {
  WriteClusterMemory(directory_, memory_);
  EXPECT_EQ(StatFile(Path())->st_mode & 0777, 0600U);
  ASSERT_EQ(chmod(directory_.c_str(), 0750), 0);
  WriteClusterMemory(directory_, memory_);
  EXPECT_EQ(StatFile(Path())->st_mode & 0777, 0640U);
}

TEST_F(ClusterMemoryTest, AFailedWriteThrowsAndKeepsTheOldOne) {
  WriteClusterMemory(directory_, memory_);
  EXPECT_THROW(WriteClusterMemory(JoinPath(directory_, "missing"), memory_), Error);
  std::string problem;
  EXPECT_EQ(ReadClusterMemory(directory_, &problem), memory_);
}

TEST(ClusterMemory, KnowsItsFilesByName) {
  for (const char* name : {"backup_ext.state", "backup_ext.state.0123456789abcdef.tmp"}) {
    EXPECT_TRUE(IsClusterMemoryFile(name)) << name;
  }
  for (const char* name : {"backup_ext.stat", "backup_ext.states", "backup_ext.state.old",
                           "log/backup_ext.state", "backup_ext.state/x.tmp", "backup_ext"}) {
    EXPECT_FALSE(IsClusterMemoryFile(name)) << name;
  }
}

}  // namespace
}  // namespace backup_ext
