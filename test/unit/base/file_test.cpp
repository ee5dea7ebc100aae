// Files and directories on a real file system.
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;

class FileTest : public testing::Test {
 protected:
  FileTest() : root_(JoinPath(ResolvePath(testing::TempDir()), HexEncode(RandomBytes(8)))) {
    MakeDirectory(root_);
  }
  ~FileTest() override { RemoveTree(root_); }

  [[nodiscard]] std::string Path(const std::string& name) const { return JoinPath(root_, name); }
  void Write(const std::string& name, std::string_view content) const {
    WriteFileDurably(Path(name), AsBytes(content));
  }
  [[nodiscard]] std::string Read(const std::string& name) const {
    return std::string(AsText(ReadWholeFile(Path(name), 1 << 20)));
  }
  [[nodiscard]] std::vector<std::string> Names() const {
    const auto entries = ReadDirectory(root_);
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : entries.value()) {
      names.push_back(entry.name);
    }
    return names;
  }

  const std::string root_;
};

template <typename Call>
ErrorCode CodeOf(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(FileTest, DurableWriteReplacesWholeContent) {
  Write("a", "old and long");
  WriteFileDurably(Path("a"), AsBytes("new"), 0644);
  EXPECT_EQ(Read("a"), "new");
  EXPECT_EQ(StatFile(Path("a"))->st_mode & 07777, 0644U);
  EXPECT_THAT(Names(), ElementsAre("a"));  // no temporary is left
}

TEST_F(FileTest, FailedDurableWriteLeavesNothing) {
  MakeDirectory(Path("taken"));
  EXPECT_THROW(Write("taken", "x"), Error);
  EXPECT_THAT(Names(), ElementsAre("taken"));
  EXPECT_EQ(CodeOf([&] { Write("missing/a", "x"); }), ErrorCode::kNotFound);
}

TEST_F(FileTest, ReadsRangesUpToTheEnd) {
  Write("a", "0123456789");
  const FileDescriptor file = OpenFile(Path("a"), O_RDWR);
  std::byte buffer[8];
  EXPECT_EQ(ReadAt(file.get(), buffer, 8, 7, "a"), 3U);
  EXPECT_EQ(AsText(ByteSpan(buffer, 3)), "789");
  EXPECT_EQ(ReadAt(file.get(), buffer, 8, 100, "a"), 0U);
  EXPECT_THROW(static_cast<void>(ReadAt(file.get(), buffer, 8, UINT64_MAX - 3, "a")), Error);
  WriteAllAt(file.get(), AsBytes("xy"), 2, "a");
  EXPECT_EQ(Read("a"), "01xy456789");
}

TEST_F(FileTest, WholeFileHasALimit) {
  Write("a", std::string(200'000, 'x'));
  EXPECT_EQ(ReadWholeFile(Path("a"), 200'000).size(), 200'000U);
  EXPECT_EQ(CodeOf([&] { static_cast<void>(ReadWholeFile(Path("a"), 199'999)); }),
            ErrorCode::kDamaged);
  EXPECT_EQ(CodeOf([&] { static_cast<void>(ReadWholeFile("/dev/zero", 1000)); }),
            ErrorCode::kDamaged);
  Write("empty", "");
  EXPECT_TRUE(ReadWholeFile(Path("empty"), 0).empty());
}

TEST_F(FileTest, FullFileSystemIsNoSpace) {
  const FileDescriptor full = OpenFile("/dev/full", O_WRONLY);
  EXPECT_EQ(CodeOf([&] { WriteAll(full.get(), AsBytes("x"), "/dev/full"); }), ErrorCode::kNoSpace);
}

TEST_F(FileTest, MissingFilesAreNoError) {
  EXPECT_FALSE(OpenFileIfExists(Path("a"), O_RDONLY));
  Write("file", "");
  EXPECT_FALSE(OpenFileIfExists(Path("file/below"), O_RDONLY));
  EXPECT_FALSE(StatFile(Path("a")));
  EXPECT_FALSE(ReadDirectory(Path("a")));
  EXPECT_FALSE(RemoveFile(Path("a")));
  EXPECT_NO_THROW(RemoveTree(Path("a")));
  EXPECT_TRUE(OpenFileIfExists(Path("file"), O_RDONLY));
  EXPECT_TRUE(RemoveFile(Path("file")));
}

TEST_F(FileTest, DescriptorsAreClosedOnceAndOnExec) {
  Write("a", "");
  FileDescriptor first = OpenFile(Path("a"), O_RDONLY);
  const int number = first.get();
  EXPECT_NE(fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
  FileDescriptor second = std::move(first);
  EXPECT_EQ(second.get(), number);
  second = FileDescriptor();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST_F(FileTest, DirectoryIsSortedByBytes) {
  for (const char* name : {"b", "a", "B", "\xff", "10", "9"}) {
    Write(name, "");
  }
  EXPECT_THAT(Names(), ElementsAre("10", "9", "B", "a", "b", "\xff"));
}

TEST_F(FileTest, DirectoryModeIsExactWhateverTheUmask) {
  const mode_t before = umask(0077);
  EXPECT_TRUE(MakeDirectory(Path("d"), 0755));
  umask(before);
  EXPECT_EQ(StatFile(Path("d"))->st_mode & 07777, 0755U);
  EXPECT_FALSE(MakeDirectory(Path("d"), 0700));
  EXPECT_EQ(StatFile(Path("d"))->st_mode & 07777, 0755U);
  Write("file", "");
  EXPECT_EQ(CodeOf([&] { MakeDirectory(Path("file")); }), ErrorCode::kAlreadyExists);
}

TEST_F(FileTest, MakesMissingDirectories) {
  MakeDirectories(Path("a/b//c/"), 0750);
  EXPECT_EQ(StatFile(Path("a/b/c"))->st_mode & 07777, 0750U);
  EXPECT_NO_THROW(MakeDirectories(Path("a/b/c")));
}

TEST_F(FileTest, RemoveTreeNeverFollowsLinks) {
  MakeDirectories(Path("outside/deep"));
  Write("outside/deep/kept", "x");
  MakeDirectories(Path("tree/sub/sub"));
  Write("tree/sub/file", "x");
  ASSERT_EQ(symlink(Path("outside").c_str(), Path("tree/sub/link").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", Path("tree/dangling").c_str()), 0);
  RemoveTree(Path("tree"));
  EXPECT_THAT(Names(), ElementsAre("outside"));
  EXPECT_EQ(Read("outside/deep/kept"), "x");
}

TEST_F(FileTest, RemoveTreeRefusesALink) {
  MakeDirectory(Path("outside"));
  Write("outside/kept", "x");
  ASSERT_EQ(symlink("outside", Path("link").c_str()), 0);
  EXPECT_THROW(RemoveTree(Path("link")), Error);
  EXPECT_EQ(Read("outside/kept"), "x");
}

TEST_F(FileTest, StatTellsLinksApart) {
  ASSERT_EQ(symlink("nowhere", Path("link").c_str()), 0);
  EXPECT_TRUE(S_ISLNK(StatLink(Path("link"))->st_mode));
  EXPECT_FALSE(StatFile(Path("link")));
  EXPECT_EQ(ReadLink(Path("link")), "nowhere");
  EXPECT_THROW(static_cast<void>(ReadLink(root_)), Error);
}

TEST_F(FileTest, RenameReplaces) {
  Write("a", "new");
  Write("b", "old");
  RenameDurably(Path("a"), Path("b"));
  EXPECT_THAT(Names(), ElementsAre("b"));
  EXPECT_EQ(Read("b"), "new");
}

TEST_F(FileTest, ResolvesWhatDoesNotExistYet) {
  MakeDirectories(Path("real/below"));
  ASSERT_EQ(symlink("real", Path("link").c_str()), 0);
  ASSERT_EQ(symlink("real/new", Path("dangling").c_str()), 0);
  ASSERT_EQ(symlink("circle", Path("circle").c_str()), 0);
  EXPECT_EQ(ResolvePath(Path("link/below/")), Path("real/below"));
  EXPECT_EQ(ResolvePath(Path("link/missing/./x/../y")), Path("real/missing/y"));
  EXPECT_EQ(ResolvePath(Path("link/below/../..")), root_);
  EXPECT_EQ(ResolvePath(Path("dangling/x")), Path("real/new/x"));
  EXPECT_THROW(static_cast<void>(ResolvePath(Path("circle"))), Error);
  EXPECT_EQ(ResolvePath("/.."), "/");
}

TEST_F(FileTest, FreeSpaceIsKnown) {
  EXPECT_GT(FreeBytes(root_), 0U);
  EXPECT_THROW(static_cast<void>(FreeBytes(Path("missing"))), Error);
}

TEST(Path, PartsOfPaths) {
  struct Case {
    const char *path, *parent, *base;
  };
  for (const Case& c : {Case{"a", "", "a"}, Case{"/a", "/", "a"}, Case{"a/b", "a", "b"},
                        Case{"/a/b/", "/a", "b"}, Case{"/", "/", "/"}, Case{"a//b", "a", "b"}}) {
    EXPECT_EQ(ParentDirectory(c.path), c.parent) << c.path;
    EXPECT_EQ(BaseName(c.path), c.base) << c.path;
  }
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
}

TEST(Path, InsideIsByComponents) {
  EXPECT_TRUE(IsInside("/a/b", "/a"));
  EXPECT_TRUE(IsInside("/a", "/a"));
  EXPECT_FALSE(IsInside("/ab", "/a"));
  EXPECT_FALSE(IsInside("/a", "/a/b"));
  EXPECT_TRUE(IsInside("/a", "/"));
}

TEST(ScopeExit, RunsUnlessReleasedAndSwallowsErrors) {
  int runs = 0;
  {
    const ScopeExit counted([&runs] { ++runs; });
  }
  {
    ScopeExit released([&runs] { ++runs; });
    released.Release();
  }
  EXPECT_EQ(runs, 1);
  EXPECT_NO_THROW({ const ScopeExit throwing([] { throw 1; }); });
}

}  // namespace
}  // namespace backup_ext
