// Names are built and parsed alike, and nothing else parses.
#include "format/names.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr std::string_view kId = "20261123-103245-9f3a2c1b";
constexpr Microseconds kTime = 1795429965LL * kMicrosecondsPerSecond;

TEST(Names, IdsSortByTimeAndDiffer) {
  const std::string id = NewBackupId(kTime);
  EXPECT_TRUE(IsBackupId(id)) << id;
  EXPECT_EQ(id.substr(0, 16), "20261123-103245-");
  EXPECT_NE(id, NewBackupId(kTime));
  EXPECT_LT(id, NewBackupId(kTime + kMicrosecondsPerSecond));
  EXPECT_TRUE(IsStageId(NewStageId(kTime)));
  EXPECT_FALSE(IsStageId(id));
  EXPECT_EQ(NewJobId(kTime).substr(0, 20), "job-20261123-103245-");
}

TEST(Names, OtherTextIsNoBackupId) {
  for (const char* text : {"", "latest", "20261123-103245-9f3a2c1", "20261123-103245-9f3a2c1b0",
                           "20261123-103245-9F3A2C1B", "2026112a-103245-9f3a2c1b",
                           "20261123_103245-9f3a2c1b", "../../../../etc/password"}) {
    EXPECT_FALSE(IsBackupId(text)) << text;
  }
}

TEST(Names, ObjectsLieWhereTheFormatSays) {
  EXPECT_EQ(RecordName(kId), "backups/20261123-103245-9f3a2c1b/record.json");
  EXPECT_EQ(ManifestName(kId), "backups/20261123-103245-9f3a2c1b/manifest");
  EXPECT_EQ(BackupPrefix(kId), "backups/20261123-103245-9f3a2c1b/");
  EXPECT_EQ(PackPrefix(kId), "packs/20261123-103245-9f3a2c1b/");
  EXPECT_EQ(PackName({std::string(kId), 3, 17}), "packs/20261123-103245-9f3a2c1b/3-17.pack");
  EXPECT_EQ(HistoryName("job-1", kTime), "history/2026/11/job-1.json");
}

TEST(Names, PackNamesParseInOneFormOnly) {
  const PackId pack{std::string(kId), 4294967295U, 0};
  EXPECT_EQ(ParsePackName(PackName(pack)), pack);
  const std::string prefix = PackPrefix(kId);
  for (const char* rest :
       {"", "1-2", "1-2.pack.tmp", "01-2.pack", "1-02.pack", "1.pack", "+1-2.pack", "-1-2.pack",
        "4294967296-0.pack", "1-2.packs", "x/1-2.pack", " 1-2.pack"}) {
    EXPECT_FALSE(ParsePackName(prefix + rest)) << rest;
  }
  EXPECT_FALSE(ParsePackName("packs/latest/1-2.pack"));
  EXPECT_FALSE(ParsePackName("backups/20261123-103245-9f3a2c1b/1-2.pack"));
}

TEST(Names, BackupIdOfObjects) {
  EXPECT_EQ(BackupIdOfName(RecordName(kId)), kId);
  EXPECT_EQ(BackupIdOfName(PackName({std::string(kId), 0, 0})), kId);
  EXPECT_FALSE(BackupIdOfName("backups/20261123-103245-9f3a2c1b"));
  EXPECT_FALSE(BackupIdOfName("locks/20261123-103245-9f3a2c1b/x"));
  EXPECT_FALSE(BackupIdOfName("backups/x/record.json"));
  EXPECT_FALSE(BackupIdOfName("repository.json"));
}

TEST(Names, ObjectNamesAreRelativeAndPlain) {
  for (const char* good : {"a", "a/b", "a.b/c_d-e", "...", "A9"}) {
    EXPECT_TRUE(IsObjectName(good)) << good;
  }
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a\n",
                          "\xc3\xa4", "a\\b", "a:b"}) {
    EXPECT_FALSE(IsObjectName(bad)) << bad;
  }
  EXPECT_FALSE(IsObjectName(std::string_view("a\0b", 3)));
}

TEST(Names, NoteNamesParseInOneFormOnly) {
  const NoteId note{std::string(kId), "pin", kTime + 7};
  EXPECT_EQ(NoteName(note), "backups/20261123-103245-9f3a2c1b/pin-20261123-103245-000007.json");
  EXPECT_EQ(ParseNoteName(NoteName(note)), note);
  const std::string prefix = BackupPrefix(kId);
  for (const char* rest :
       {"", "record.json", "manifest", "-20261123-103245-000007.json", "pin-20261123-103245-000007",
        "pin-20261123-103245-000007.jsom", "pin-20261123-103245-00007.json",
        "pin-20261123-103245-0000007.json", "pin-20261323-103245-000007.json",
        "pin-20261123-253245-000007.json", "pin-20261123_103245-000007.json",
        "Pin-20261123-103245-000007.json", "pin--20261123-103245-000007.json",
        "x/pin-20261123-103245-000007.json", "pin-20261123-103245-+00007.json"}) {
    EXPECT_FALSE(ParseNoteName(prefix + rest)) << rest;
  }
  EXPECT_FALSE(ParseNoteName("packs/20261123-103245-9f3a2c1b/pin-20261123-103245-000007.json"));
  EXPECT_FALSE(ParseNoteName("backups/latest/pin-20261123-103245-000007.json"));
}

}  // namespace
}  // namespace backup_ext
