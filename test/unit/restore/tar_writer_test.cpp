#include "restore/tar_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class TarWriterTest : public testing::Test {
 protected:
  TarWriter Writer() {
    return TarWriter([this](ByteSpan bytes) { archive_ += AsText(bytes); });
  }
  // What tar says, standard error too.
  std::string RunTar(const std::string& options) {
    WriteFileDurably(directory_ / "archive", AsBytes(archive_));
    const std::string said = directory_ / "said";
    const std::string command = "TZ=UTC LC_ALL=C tar " + options + " -f '" +
                                (directory_ / "archive") + "' > '" + said + "' 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << ReadText(said);
    return ReadText(said);
  }

  TemporaryDirectory directory_;
  std::string archive_;
};

TarMember Member(const std::string& name, uint64_t size_bytes = 0) {
  return {.name = name,
          .size_bytes = size_bytes,
          .mode = 0640,
          .uid = 101,
          .gid = 104,
          .mtime_seconds = 1'790'000'000};
}

TEST_F(TarWriterTest, TarReadsWhatItWrites) {
  TarWriter tar = Writer();
  TarMember directory = Member("base");
  directory.mode = 0700;
  tar.AddDirectory(directory);
  tar.AddFile(Member("base/1"), std::string(1000, 'x'));
  tar.AddFile(Member("empty"), "");
  tar.AddFile(Member("block"), std::string(kTarBlockBytes, 'y'));
  tar.Finish();

  EXPECT_EQ(RunTar("-tv --numeric-owner --full-time"),
            "drwx------ 101/104           0 2026-09-21 14:13:20 base/\n"
            "-rw-r----- 101/104        1000 2026-09-21 14:13:20 base/1\n"
            "-rw-r----- 101/104           0 2026-09-21 14:13:20 empty\n"
            "-rw-r----- 101/104         512 2026-09-21 14:13:20 block\n");
  EXPECT_THAT(archive_, SizeIs(kTarBlockBytes + TarMemberBytes(1000) + TarMemberBytes(0) +
                               TarMemberBytes(kTarBlockBytes) + 2 * kTarBlockBytes));
  RunTar("-x --no-same-owner -C '" + directory_.path() + "'");
  EXPECT_EQ(ReadText(directory_ / "base/1"), std::string(1000, 'x'));
}

TEST_F(TarWriterTest, LongAndOddNamesComeBack) {
  // 99 bytes fit into a header, 100 do not; around 990 the length of a pax record gets a digit
  // more.
  TarWriter tar = Writer();
  std::vector<std::string> names = {std::string(99, 'a'), std::string(100, 'b'),
                                    "d/" + std::string(200, 'c'), "odd \xC3\xA9\\\n'\""};
  std::string deep;
  for (char c = 'd'; c < 'n'; ++c) deep.append(98, c).append("/");
  for (size_t bytes = 1; bytes < 16; ++bytes) names.push_back(deep + std::string(bytes, 'z'));
  for (const std::string& name : names) tar.AddFile(Member(name), name);
  tar.AddDirectory(Member(std::string(99, 'D')));
  tar.Finish();

  RunTar("-x --no-same-owner -C '" + directory_.path() + "'");
  for (const std::string& name : names) EXPECT_EQ(ReadText(directory_ / name), name);
  EXPECT_TRUE(std::filesystem::is_directory(directory_ / std::string(99, 'D')));
}

// print_tar_number() of PostgreSQL: octal below 8^11, from there on a byte 0x80 and base 256.
TEST_F(TarWriterTest, LargeSizesAreWrittenAsTheServerDoes) {
  const auto field = [&](uint64_t size_bytes) {
    archive_.clear();
    TarWriter tar = Writer();
    tar.BeginFile(Member("large", size_bytes));
    tar.Finish();
    return archive_.substr(124, 12);
  };
  EXPECT_EQ(field(8192), "00000020000 ");
  EXPECT_EQ(field((1ULL << 33) - 1), "77777777777 ");
  EXPECT_EQ(field(1ULL << 33), std::string("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12));
  EXPECT_EQ(field(0x0123456789ABULL), std::string("\x80\0\0\0\0\0\x01\x23\x45\x67\x89\xAB", 12));
}

TEST_F(TarWriterTest, TarReadsLargeSizes) {
  TarWriter tar = Writer();
  tar.BeginFile(Member("large", 9ULL << 30));
  tar.Finish();
  // The content is not there, which tar says after it has shown the header.
  WriteFileDurably(directory_ / "archive", AsBytes(archive_));
  const std::string command = "LC_ALL=C tar -tvf '" + (directory_ / "archive") + "' > '" +
                              (directory_ / "said") + "' 2> /dev/null";
  EXPECT_NE(std::system(command.c_str()), 0);
  EXPECT_THAT(ReadText(directory_ / "said"), HasSubstr(" 9663676416 "));
}

TEST_F(TarWriterTest, AMemberOfAnotherSizeIsAFault) {
  TarWriter tar = Writer();
  tar.BeginFile(Member("short", 10));
  tar.Write(AsBytes(std::string_view("123")));
  EXPECT_THAT(ErrorOf([&] { tar.EndFile(); })->message(),
              HasSubstr("3 bytes of a tar member were written instead of 10"));
}

}  // namespace
}  // namespace backup_ext
