// The directory store: the suite of every store, and what only a directory can go through.
#include "store/directory_store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/object_store_conformance.h"
#include "store/store_test_support.h"
#include "store/temporary_name.h"

namespace backup_ext {
namespace {

class DirectoryHarness {
 public:
  DirectoryHarness() : store_(OpenAnother()) {}
  ObjectStore& store() { return *store_; }
  std::unique_ptr<ObjectStore> OpenAnother() { return OpenDirectoryStore(directory_.path()); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<ObjectStore> store_;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Directory, ObjectStoreConformance, DirectoryHarness);

class DirectoryStore : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::unique_ptr<ObjectStore> store_ = OpenDirectoryStore(directory_.path());
};

mode_t ModeOf(const std::string& path) { return StatLink(path)->st_mode & 07777; }

TEST_F(DirectoryStore, GivesOthersNoAccessWhateverTheUmask) {
  for (const mode_t mask : {0000, 0077, 0777}) {
    const mode_t before = umask(mask);
    const std::string name = "packs/m" + std::to_string(mask) + "/0-0.pack";
    store_->Put(name, AsBytes("x"));
    umask(before);
    EXPECT_EQ(ModeOf(directory_ / name), 0600U);
    EXPECT_EQ(ModeOf(ParentDirectory(directory_ / name)), 0700U);
  }
  EXPECT_EQ(ModeOf(directory_ / "tmp"), 0700U);
}

TEST_F(DirectoryStore, RefusesADirectoryThatOthersMayWriteTo) {
  for (const mode_t mode : {0770, 0702}) {
    ASSERT_EQ(chmod(directory_.path().c_str(), mode), 0);
    EXPECT_ERROR(OpenDirectoryStore(directory_.path()), ErrorCode::kPermissionDenied,
                 "can be written to by other users");
  }
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  EXPECT_NE(OpenDirectoryStore(directory_.path()), nullptr);
}

TEST_F(DirectoryStore, RefusesADirectoryOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(chown(directory_.path().c_str(), 12345, 12345), 0);
  EXPECT_ERROR(OpenDirectoryStore(directory_.path()), ErrorCode::kPermissionDenied,
               "belongs to another user");
}

TEST_F(DirectoryStore, SaysThatThereIsNoDirectory) {
  EXPECT_ERROR(OpenDirectoryStore(directory_ / "missing"), ErrorCode::kNoRepository,
               "does not exist");
  WriteFileDurably(directory_ / "file", AsBytes("x"));
  EXPECT_ERROR(OpenDirectoryStore(directory_ / "file"), ErrorCode::kNoRepository,
               "is not a directory");
}

TEST_F(DirectoryStore, SweepsWhatAKilledWriterLeft) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::unique_ptr<ObjectWriter> writer = store_->Create("packs/a/0-0.pack");
    writer->Append(AsBytes("half"));
    raise(SIGKILL);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(EntriesOf(directory_ / "tmp").size(), 1U);
  EXPECT_THAT(store_->List(""), testing::IsEmpty());
  MakeDirectories(directory_ / "packs/b");  // died after making it
  store_->SweepTemporaries();
  EXPECT_THAT(EntriesOf(directory_ / "tmp"), testing::IsEmpty());
  EXPECT_THAT(EntriesOf(directory_ / "packs"), testing::IsEmpty());
}

TEST_F(DirectoryStore, RemovesDirectoriesThatBecameEmpty) {
  store_->Put("wal/1/0000000100000000/x", AsBytes("x"));
  store_->Put("wal/1/0000000100000001/y", AsBytes("y"));
  store_->Delete("wal/1/0000000100000000/x");
  EXPECT_THAT(EntriesOf(directory_ / "wal/1"), testing::ElementsAre("0000000100000001"));
  store_->Delete("wal/1/0000000100000001/y");
  EXPECT_THAT(EntriesOf(directory_.path()), testing::ElementsAre("tmp", "wal"));
  EXPECT_THAT(EntriesOf(directory_ / "wal"), testing::IsEmpty());
}

TEST_F(DirectoryStore, HidesItsTemporariesAndWhatIsNotItsOwn) {
  const std::unique_ptr<ObjectWriter> writer = store_->Create("packs/a/0-0.pack");
  MakeDirectory(directory_ / "lost+found", 0000);
  EXPECT_THAT(store_->List(""), testing::IsEmpty());
  EXPECT_THAT(store_->ListNames(""), testing::IsEmpty());
  for (const char* name : {"tmp", "tmp/x"}) {
    EXPECT_ERROR(store_->Put(name, AsBytes("x")), ErrorCode::kInvalidArgument, "object name");
  }
  EXPECT_ERROR(store_->List("tmp/"), ErrorCode::kInvalidArgument, "prefix");
  store_->Put("tmpx/x", AsBytes("x"));
}

TEST_F(DirectoryStore, FollowsNoLinkBelowItsRoot) {
  const TemporaryDirectory outside;
  WriteFileDurably(outside / "victim", AsBytes("precious"));
  ASSERT_EQ(symlink(outside.path().c_str(), (directory_ / "packs").c_str()), 0);
  MakeDirectory(directory_ / "backups");
  ASSERT_EQ(symlink((outside / "victim").c_str(), (directory_ / "backups/link").c_str()), 0);

  EXPECT_ERROR(store_->Open("packs/victim"), ErrorCode::kDamaged, "symbolic link");
  EXPECT_ERROR(store_->Get("backups/link", 100), ErrorCode::kDamaged, "symbolic link");
  EXPECT_THROW(store_->Put("packs/new", AsBytes("x")), Error);
  EXPECT_THROW(store_->Delete("packs/victim"), Error);
  EXPECT_THROW(static_cast<void>(store_->List("packs/")), Error);
  EXPECT_ERROR(store_->Put("backups/link", AsBytes("x")), ErrorCode::kAlreadyExists, "link");
  EXPECT_THAT(store_->List(""), testing::IsEmpty());
  EXPECT_TRUE(store_->Delete("backups/link"));  // the link, not what it leads to
  EXPECT_EQ(ReadText(outside / "victim"), "precious");
  EXPECT_THAT(EntriesOf(outside.path()), testing::ElementsAre("victim"));
}

TEST_F(DirectoryStore, WritesNoTemporaryThroughALink) {
  const TemporaryDirectory outside;
  ASSERT_EQ(symlink(outside.path().c_str(), (directory_ / "tmp").c_str()), 0);
  EXPECT_THROW(store_->Put("object", AsBytes("x")), Error);
  EXPECT_THROW(store_->SweepTemporaries(), Error);
  EXPECT_THAT(EntriesOf(outside.path()), testing::IsEmpty());
}

TEST_F(DirectoryStore, IsNotHeldByANamedPipe) {
  ASSERT_EQ(mkfifo((directory_ / "object").c_str(), 0600), 0);
  EXPECT_ERROR(store_->Open("object"), ErrorCode::kDamaged, "not a regular file");
  EXPECT_THAT(store_->List(""), testing::IsEmpty());
}

TEST_F(DirectoryStore, NoticesThatItsRootWasReplaced) {
  store_->Put("object", AsBytes("x"));
  const std::unique_ptr<ObjectWriter> writer = store_->Create("late");
  const TemporaryDirectory elsewhere;
  RenameDurably(directory_.path(), elsewhere / "moved");
  for (const bool replaced : {false, true}) {
    SCOPED_TRACE(replaced);
    if (replaced) MakeDirectory(directory_.path());
    EXPECT_ERROR(store_->Open("object"), ErrorCode::kNoRepository, "is no longer there");
    EXPECT_ERROR(store_->List(""), ErrorCode::kNoRepository, "is no longer there");
    EXPECT_ERROR(store_->ListNames(""), ErrorCode::kNoRepository, "is no longer there");
    EXPECT_ERROR(store_->Put("new", AsBytes("x")), ErrorCode::kNoRepository, "is no longer there");
    EXPECT_ERROR(store_->Delete("object"), ErrorCode::kNoRepository, "is no longer there");
    EXPECT_ERROR(store_->SweepTemporaries(), ErrorCode::kNoRepository, "is no longer there");
  }
  EXPECT_ERROR(writer->Commit(), ErrorCode::kNoRepository, "is no longer there");
  EXPECT_THAT(EntriesOf(directory_.path()), testing::IsEmpty());
  EXPECT_THAT(EntriesOf(elsewhere / "moved"), testing::ElementsAre("object", "tmp"));
}

TEST_F(DirectoryStore, NoticesThatItsRootWasRemoved) {
  const std::unique_ptr<ObjectWriter> writer = store_->Create("object");
  writer->Append(AsBytes("x"));
  RemoveTree(directory_.path());
  EXPECT_ERROR(writer->Commit(), ErrorCode::kNoRepository, "is no longer there");
  EXPECT_ERROR(store_->Create("object"), ErrorCode::kNoRepository, "is no longer there");
}

TEST_F(DirectoryStore, ThrowsTheObjectAwayAfterAFailedWrite) {
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct sigaction ignore = {}, old_action;
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(sigaction(SIGXFSZ, &ignore, &old_action), 0);
  const std::unique_ptr<ObjectWriter> writer = store_->Create("packs/a/0-0.pack");
  const struct rlimit small = {100'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::optional<Error> error = ErrorOf([&] { writer->Append(RandomBytes(200'000)); });
  setrlimit(RLIMIT_FSIZE, &before);
  sigaction(SIGXFSZ, &old_action, nullptr);

  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message(), testing::HasSubstr("packs/a/0-0.pack"));
  // The limit is gone, but half of the bytes are too: the writer must stay dead.
  EXPECT_THROW(writer->Append(AsBytes("more")), Error);
  EXPECT_THROW(writer->Commit(), Error);
  EXPECT_THAT(EntriesOf(directory_ / "tmp"), testing::IsEmpty());
  EXPECT_THAT(store_->List(""), testing::IsEmpty());
}

class FullDirectoryStore : public testing::Test {
 protected:
  void SetUp() override {
    if (!file_system_.mounted()) GTEST_SKIP() << "only root can mount a small file system";
    store_ = OpenDirectoryStore(file_system_.path());
  }
  SmallFileSystem file_system_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(FullDirectoryStore, SaysThatThereIsNoSpaceAndRecovers) {
  store_->Put("packs/a/0-0.pack", RandomBytes(300'000));
  const std::optional<Error> error =
      ErrorOf([&] { store_->Put("packs/a/0-1.pack", RandomBytes(300'000)); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kNoSpace);
  EXPECT_THAT(error->message(), testing::HasSubstr("packs/a/0-1.pack"));
  EXPECT_THAT(error->hint(), testing::StartsWith("Free space"));
  EXPECT_THAT(EntriesOf(file_system_.path() + "/tmp"), testing::IsEmpty());
  EXPECT_THAT(NamesOf(store_->List("")), testing::ElementsAre("packs/a/0-0.pack"));
  EXPECT_TRUE(store_->Delete("packs/a/0-0.pack"));
  store_->Put("packs/a/0-1.pack", RandomBytes(300'000));
}

TEST_F(FullDirectoryStore, NoticesThatItWasUnmounted) {
  store_->Put("object", AsBytes("x"));
  file_system_.Unmount();
  EXPECT_ERROR(store_->Put("late", AsBytes("x")), ErrorCode::kNoRepository, "is no longer there");
  EXPECT_THAT(EntriesOf(file_system_.path()), testing::IsEmpty());
}

TEST(TemporaryName, IsToldFromOthers) {
  EXPECT_TRUE(IsTemporaryName(NewTemporaryName()));
  EXPECT_NE(NewTemporaryName(), NewTemporaryName());
  for (const char* name : {"", ".tmp", "x.tmp", "0123456789abcdeg.tmp", "0123456789abcdef.tmq",
                           "0123456789ABCDEF.tmp", "00123456789abcdef.tmp"}) {
    EXPECT_FALSE(IsTemporaryName(name)) << name;
  }
}

}  // namespace
}  // namespace backup_ext
