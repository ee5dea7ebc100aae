// What is mounted where, read from the kernel's list.
#include "restore/mount_points.h"

#include <gtest/gtest.h>

#include "restore/path_text.h"

namespace backup_ext {
namespace {

constexpr std::string_view kMounts =
    "25 30 0:23 / /proc rw,nosuid shared:13 - proc proc rw\n"
    "30 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "99 30 254:2 /x /srv/my\\040data rw - ext4 /dev/vdb rw\n"
    "100 30 254:2 / /srv/pg/main/pg_wal rw - ext4 /dev/vdc rw\n";

TEST(MountPoints, FindsTheDirectoryAndWhatLiesBelow) {
  EXPECT_EQ(MountPointIn(kMounts, "/srv/my data"), "/srv/my data");
  EXPECT_EQ(MountPointIn(kMounts, "/srv/pg/main"), "/srv/pg/main/pg_wal");
  EXPECT_EQ(MountPointIn(kMounts, "/srv/pg/main2"), std::nullopt);
  EXPECT_EQ(MountPointIn(kMounts, "/srv/my"), std::nullopt);
  EXPECT_EQ(MountPointIn("", "/"), std::nullopt);
}

TEST(MountPoints, OfThisMachine) {
  EXPECT_EQ(MountPointIn("/proc"), "/proc");
  EXPECT_EQ(MountPointOf("/proc/self"), "/proc");
}

TEST(PathText, ComesBackByteByByte) {
  EXPECT_EQ(PathToText("/plain/\xC3\xA9"), "/plain/\xC3\xA9");
  EXPECT_EQ(PathToText("/100%"), "/100%25");
  EXPECT_EQ(PathToText("/\xE4"), "/%E4");
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& path :
       {all, std::string("%"), std::string("%4"), std::string("%zz%41")}) {
    EXPECT_EQ(PathFromText(PathToText(path)), path);
  }
}

}  // namespace
}  // namespace backup_ext
