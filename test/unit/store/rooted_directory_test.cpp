// Opening below a directory, by both ways, and giving a file a name that must be free.
#include "store/rooted_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

using Opener = FileDescriptor (*)(int, const std::string&, int, mode_t);

class OpenBeneathBothWays : public testing::TestWithParam<Opener> {
 protected:
  void SetUp() override {
    WriteFileDurably(outside_ / "secret", AsBytes("secret"));
    MakeDirectories(root_ / "a/b");
    WriteFileDurably(root_ / "a/b/file", AsBytes("inside"));
    ASSERT_EQ(symlink(outside_.path().c_str(), (root_ / "a/out").c_str()), 0);
    ASSERT_EQ(symlink("b", (root_ / "a/in").c_str()), 0);
    ASSERT_EQ(symlink("b/file", (root_ / "a/link").c_str()), 0);
    fd_ = OpenFile(root_.path(), O_RDONLY | O_DIRECTORY);
  }
  // 0 when it opens, else the errno.
  int TryOpen(const std::string& name, int flags) {
    errno = 0;
    return GetParam()(fd_.get(), name, flags, 0600).valid() ? 0 : errno;
  }
  TemporaryDirectory root_, outside_;
  FileDescriptor fd_;
};

TEST_P(OpenBeneathBothWays, OpensWhatIsThere) {
  EXPECT_EQ(TryOpen("a/b/file", O_RDONLY), 0);
  EXPECT_EQ(TryOpen("a/b", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(TryOpen(".", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(TryOpen("a/b/new", O_RDWR | O_CREAT | O_EXCL), 0);
  EXPECT_EQ(StatLink(root_ / "a/b/new")->st_mode & 07777, 0600U);
  EXPECT_NE(fcntl(GetParam()(fd_.get(), "a/b/file", O_RDONLY, 0).get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(OpenBeneathBothWays, SaysWhatIsMissing) {
  EXPECT_EQ(TryOpen("a/b/missing", O_RDONLY), ENOENT);
  EXPECT_EQ(TryOpen("x/y/z", O_RDONLY), ENOENT);
  EXPECT_EQ(TryOpen("a/b/file/below", O_RDONLY), ENOTDIR);
  EXPECT_EQ(TryOpen("a/b/new", O_WRONLY), ENOENT);
  EXPECT_EQ(TryOpen("a/b/file", O_RDWR | O_CREAT | O_EXCL), EEXIST);
}

TEST_P(OpenBeneathBothWays, FollowsNoLink) {
  EXPECT_EQ(TryOpen("a/out/secret", O_RDONLY), ELOOP);
  EXPECT_EQ(TryOpen("a/out", O_RDONLY | O_DIRECTORY), ELOOP);
  EXPECT_EQ(TryOpen("a/in/file", O_RDONLY), ELOOP);
  EXPECT_EQ(TryOpen("a/link", O_RDONLY), ELOOP);
  EXPECT_EQ(TryOpen("a/link", O_RDWR | O_CREAT), ELOOP);
}

TEST_P(OpenBeneathBothWays, StaysBelow) {
  EXPECT_EQ(TryOpen("../" + BaseName(outside_.path()) + "/secret", O_RDONLY), EXDEV);
  EXPECT_EQ(TryOpen(outside_ / "secret", O_RDONLY), EXDEV);
}

INSTANTIATE_TEST_SUITE_P(Kernel, OpenBeneathBothWays, testing::Values(&OpenBeneath));
INSTANTIATE_TEST_SUITE_P(ByComponent, OpenBeneathBothWays,
                         testing::Values(&OpenBeneathByComponent));

using Mover = int (*)(int, const std::string&, int, const std::string&);

class MoveBothWays : public testing::TestWithParam<Mover> {
 protected:
  int Move(const std::string& from, const std::string& to) {
    return GetParam()(fd_.get(), from, fd_.get(), to);
  }
  TemporaryDirectory root_;
  FileDescriptor fd_ = OpenFile(root_.path(), O_RDONLY | O_DIRECTORY);
};

TEST_P(MoveBothWays, MovesToAFreeName) {
  WriteFileDurably(root_ / "from", AsBytes("x"));
  EXPECT_EQ(Move("from", "to"), 0);
  EXPECT_THAT(EntriesOf(root_.path()), testing::ElementsAre("to"));
  EXPECT_EQ(ReadText(root_ / "to"), "x");
}

TEST_P(MoveBothWays, ReplacesNothing) {
  WriteFileDurably(root_ / "from", AsBytes("new"));
  WriteFileDurably(root_ / "to", AsBytes("old"));
  EXPECT_EQ(Move("from", "to"), EEXIST);
  EXPECT_EQ(ReadText(root_ / "to"), "old");
  EXPECT_EQ(ReadText(root_ / "from"), "new");
  MakeDirectory(root_ / "directory");
  EXPECT_EQ(Move("from", "directory"), EEXIST);
  ASSERT_EQ(symlink("nowhere", (root_ / "dangling").c_str()), 0);
  EXPECT_EQ(Move("from", "dangling"), EEXIST);
  EXPECT_EQ(Move("missing", "free"), ENOENT);
}

INSTANTIATE_TEST_SUITE_P(Rename, MoveBothWays, testing::Values(&MoveWithoutReplacing));
INSTANTIATE_TEST_SUITE_P(Link, MoveBothWays, testing::Values(&LinkWithoutReplacing));

TEST(LinkWithoutReplacing, KnowsItsOwnLinkWhoseAnswerWasLost) {
  const TemporaryDirectory root;
  const FileDescriptor fd = OpenFile(root.path(), O_RDONLY | O_DIRECTORY);
  WriteFileDurably(root / "from", AsBytes("x"));
  ASSERT_EQ(link((root / "from").c_str(), (root / "to").c_str()), 0);
  EXPECT_EQ(LinkWithoutReplacing(fd.get(), "from", fd.get(), "to"), 0);
  EXPECT_THAT(EntriesOf(root.path()), testing::ElementsAre("to"));
}

TEST(RootedDirectory, MakesADirectoryAgainThatSomebodyRemoved) {
  const TemporaryDirectory directory;
  RootedDirectory root(directory.path());
  EXPECT_TRUE(root.EnsureDirectory("a/b/c").valid());
  RemoveTree(directory / "a");
  EXPECT_TRUE(root.EnsureDirectory("a/b/c").valid());
  EXPECT_TRUE(StatLink(directory / "a/b/c").has_value());
}

TEST(RootedDirectory, SaysThatAFileIsWhereADirectoryShouldBe) {
  const TemporaryDirectory directory;
  RootedDirectory root(directory.path());
  WriteFileDurably(directory / "a", AsBytes("x"));
  EXPECT_THROW(static_cast<void>(root.EnsureDirectory("a/b")), Error);
}

}  // namespace
}  // namespace backup_ext
