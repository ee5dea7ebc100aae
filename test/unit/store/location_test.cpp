// Where a repository may be.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "store/repository.h"
#include "store/store_test_support.h"

namespace backup_ext {
namespace {

TEST(CheckLocationText, SaysWhatIsWrong) {
  const std::string longest = "/" + std::string(999, 'x');
  const struct {
    std::string location;
    std::string problem;
  } cases[] = {
      {"/backups", ""},
      {"/var/lib/backups/", ""},
      {"/a/..b/c..", ""},
      {longest, ""},
      {"", "repository must be an absolute path"},
      {"backups", "repository must be an absolute path"},
      {"./backups", "repository must be an absolute path"},
      {"https://host/x", "repository must be an absolute path"},
      {"s3://bucket/prefix", "object storage is not supported by this version"},
      {"/", "repository cannot be the root directory"},
      {"//", "repository cannot be the root directory"},
      {"/a/../b", "repository must not contain \"..\""},
      {"/a/..", "repository must not contain \"..\""},
      {"/a\nb", "repository must not contain control characters"},
      {longest + "x", "repository must be at most 1000 bytes long"},
  };
  for (const auto& [location, problem] : cases) {
    EXPECT_EQ(CheckLocationText(location), problem) << location;
  }
}

class CheckLocationTest : public testing::Test {
 protected:
  void SetUp() override { MakeDirectories(data_ + "/base"); }

  void ExpectRefused(const std::string& location, ErrorCode code, const std::string& part) {
    SCOPED_TRACE(location);
    const std::optional<Error> error = ErrorOf([&] { CheckLocation(location, {data_}); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), code);
    EXPECT_THAT(error->message(), testing::HasSubstr(part));
    EXPECT_THAT(error->hint(), testing::EndsWith("."));
  }

  TemporaryDirectory top_;
  std::string data_ = top_ / "data";
};

TEST_F(CheckLocationTest, AcceptsAPlaceApart) {
  MakeDirectory(top_ / "there");
  const std::vector<std::string> before = EntriesOf(top_.path());
  CheckLocation(top_ / "there", {data_});
  CheckLocation(top_ / "there/new", {data_});
  CheckLocation(top_ / "new", {data_, top_ / "missing"});
  CheckLocation(top_ / "new/", {data_});
  CheckLocation(data_ + "2", {data_});  // begins alike
  EXPECT_EQ(EntriesOf(top_.path()), before);
  EXPECT_THAT(EntriesOf(top_ / "there"), testing::IsEmpty());
}

TEST_F(CheckLocationTest, RefusesADirectoryThatIsUsed) {
  ExpectRefused(data_, ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(data_ + "/", ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(data_ + "/base", ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(data_ + "/new/newer", ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(data_ + "/./new", ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(top_.path(), ErrorCode::kInvalidArgument, "cannot contain");
  // Also when neither is there yet.
  EXPECT_ERROR(CheckLocation(top_ / "new", {top_ / "new/data"}), ErrorCode::kInvalidArgument,
               "cannot contain");
}

TEST_F(CheckLocationTest, SeesThroughLinks) {
  ASSERT_EQ(symlink(data_.c_str(), (top_ / "link").c_str()), 0);
  ExpectRefused(top_ / "link", ErrorCode::kInvalidArgument, "cannot be inside");
  ExpectRefused(top_ / "link/new", ErrorCode::kInvalidArgument, "cannot be inside");
  ASSERT_EQ(symlink((data_ + "/new").c_str(), (top_ / "dangling").c_str()), 0);
  ExpectRefused(top_ / "dangling", ErrorCode::kInvalidArgument, "cannot be inside");
  // And through a link in the name of the data directory.
  EXPECT_ERROR(CheckLocation(data_ + "/new", {top_ / "link"}), ErrorCode::kInvalidArgument,
               "cannot be inside");
}

TEST_F(CheckLocationTest, SeesThroughBindMounts) {
  MakeDirectory(top_ / "mounted");
  if (geteuid() != 0 ||
      mount(data_.c_str(), (top_ / "mounted").c_str(), nullptr, MS_BIND, nullptr) != 0) {
    GTEST_SKIP() << "could not bind mount: " << std::strerror(errno);
  }
  const ScopeExit unmount([&] { umount2((top_ / "mounted").c_str(), MNT_DETACH); });
  ExpectRefused(top_ / "mounted/new", ErrorCode::kInvalidArgument, "cannot be inside");
  EXPECT_ERROR(CheckLocation(data_, {top_ / "mounted/base"}), ErrorCode::kInvalidArgument,
               "cannot contain");
}

TEST_F(CheckLocationTest, RefusesWhatCannotBecomeARepository) {
  ExpectRefused("relative", ErrorCode::kInvalidArgument, "absolute path");
  ExpectRefused("s3://bucket", ErrorCode::kInvalidArgument, "object storage");
  ExpectRefused(top_ / "missing/new", ErrorCode::kNoRepository, "parent directory");
  WriteFileDurably(top_ / "file", AsBytes("x"));
  ExpectRefused(top_ / "file", ErrorCode::kInvalidArgument, "is not a directory");
  ExpectRefused(top_ / "file/new", ErrorCode::kInvalidArgument, "is not a directory");
  ASSERT_EQ(symlink((top_ / "nowhere").c_str(), (top_ / "dangling").c_str()), 0);
  ExpectRefused(top_ / "dangling", ErrorCode::kNoRepository, "symbolic link to nothing");
  MakeDirectory(top_ / "open", 0777);
  ExpectRefused(top_ / "open", ErrorCode::kPermissionDenied, "other users");
}

TEST_F(CheckLocationTest, RefusesWhereItMayNotWrite) {
  MakeDirectory(top_ / "parent", 0500);
  MakeDirectory(top_ / "readonly", 0500);
  const bool is_root = geteuid() == 0;
  if (is_root) {  // root may write anywhere
    ASSERT_EQ(chown(top_.path().c_str(), 12345, 12345), 0);
    ASSERT_EQ(chown((top_ / "parent").c_str(), 12345, 12345), 0);
    ASSERT_EQ(chown((top_ / "readonly").c_str(), 12345, 12345), 0);
    ASSERT_EQ(chown(data_.c_str(), 12345, 12345), 0);
    ASSERT_EQ(seteuid(12345), 0);
  }
  const ScopeExit back([&] {
    if (is_root) static_cast<void>(!seteuid(0));
  });
  ExpectRefused(top_ / "parent/new", ErrorCode::kPermissionDenied, "could not write to");
  ExpectRefused(top_ / "readonly", ErrorCode::kPermissionDenied, "could not write to");
}

}  // namespace
}  // namespace backup_ext
