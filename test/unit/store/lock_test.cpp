// The writer's lock: one holder, whatever becomes of it.
#include "store/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

class WriterLockTest : public testing::Test {
 protected:
  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
  std::string lock_path_ = location_ + "/locks/writer.lock";
};

TEST_F(WriterLockTest, HasOneHolder) {
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "backup A (PID 1)");
  const std::optional<Error> error =
      ErrorOf([&] { static_cast<void>(WriterLock::Acquire(repository_, "backup B")); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kLocked);
  EXPECT_EQ(error->message(), "repository \"" + location_ + "\" is locked by another writer");
  EXPECT_EQ(error->detail(), "The lock is held by backup A (PID 1).");
  lock->Check();
  EXPECT_EQ(StatLink(lock_path_)->st_mode & 07777, 0600U);
}

TEST_F(WriterLockTest, IsFreeAfterItsHolder) {
  WriterLock::Acquire(repository_, "a holder with a long, long name").reset();
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "short");
  EXPECT_EQ(ReadText(lock_path_), "short\n");
}

TEST_F(WriterLockTest, IsFreedWhenItsHolderIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "the child");
    static_cast<void>(!write(ready[1], "x", 1));
    while (true) pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const std::optional<Error> error =
      ErrorOf([&] { static_cast<void>(WriterLock::Acquire(repository_, "the parent")); });
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->detail(), "The lock is held by the child.");
  WriterLock::Acquire(repository_, "the parent")->Check();
  close(ready[0]);
  close(ready[1]);
}

TEST_F(WriterLockTest, StaysWithItsHolderWhenTheFileIsReadElsewhere) {
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "holder");
  // With locks of the older kind, any close of the file by this process would drop the lock.
  OpenFile(lock_path_, O_RDWR).Close();
  lock->Check();
  EXPECT_ERROR(WriterLock::Acquire(repository_, "other"), ErrorCode::kLocked, "locked");
}

TEST_F(WriterLockTest, NoticesThatItsFileWasRemovedOrReplaced) {
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "first");
  RemoveFile(lock_path_);
  EXPECT_ERROR(lock->Check(), ErrorCode::kLocked, "was lost");
  const std::unique_ptr<WriterLock> second = WriterLock::Acquire(repository_, "second");
  EXPECT_ERROR(lock->Check(), ErrorCode::kLocked, "was lost");
  second->Check();
}

TEST_F(WriterLockTest, NoticesThatTheRepositoryWasReplaced) {
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "first");
  RenameDurably(location_, top_ / "moved");
  EXPECT_ERROR(lock->Check(), ErrorCode::kNoRepository, "is no longer there");
  const Repository other = MakeTestRepository(location_);
  const std::unique_ptr<WriterLock> second = WriterLock::Acquire(other, "second");
  EXPECT_ERROR(lock->Check(), ErrorCode::kNoRepository, "is no longer there");
}

TEST_F(WriterLockTest, WritesIntoNobodyElsesFile) {
  WriteFileDurably(top_ / "precious", AsBytes("precious"));
  MakeDirectory(location_ + "/locks");
  ASSERT_EQ(link((top_ / "precious").c_str(), lock_path_.c_str()), 0);
  EXPECT_ERROR(WriterLock::Acquire(repository_, "x"), ErrorCode::kDamaged, "lock file");
  RemoveFile(lock_path_);
  ASSERT_EQ(symlink((top_ / "precious").c_str(), lock_path_.c_str()), 0);
  EXPECT_ERROR(WriterLock::Acquire(repository_, "x"), ErrorCode::kDamaged, "symbolic link");
  EXPECT_EQ(ReadText(top_ / "precious"), "precious");
}

TEST_F(WriterLockTest, BelievesNothingThatTheFileSays) {
  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository_, "x");
  const FileDescriptor file = OpenFile(lock_path_, O_WRONLY | O_TRUNC);
  WriteAll(file.get(), AsBytes("a\x1B[31m\nERROR:  b\n"), lock_path_);
  const std::optional<Error> error =
      ErrorOf([&] { static_cast<void>(WriterLock::Acquire(repository_, "y")); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->detail(), "The lock is held by a?[31m?ERROR:  b.");
}

// What frees space must not need space.
TEST(WriterLock, IsTakenOnAFullFileSystem) {
  const SmallFileSystem full;
  if (!full.mounted()) GTEST_SKIP() << "only root can mount a small file system";
  const Repository repository = MakeTestRepository(full.path());
  MakeDirectory(full.path() + "/locks");
  const FileDescriptor filler = OpenFile(full.path() + "/filler", O_WRONLY | O_CREAT);
  EXPECT_ERROR(WriteAll(filler.get(), Bytes(1'000'000), "filler"), ErrorCode::kNoSpace, "filler");

  const std::unique_ptr<WriterLock> lock = WriterLock::Acquire(repository, "holder");
  lock->Check();
  EXPECT_ERROR(WriterLock::Acquire(repository, "other"), ErrorCode::kLocked, "locked");
}

}  // namespace
}  // namespace backup_ext
