// The writer's lock: one holder, whatever becomes of it.
#include "store/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/lease.h"
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
  EXPECT_TRUE(ReadText(lock_path_).starts_with("short\nlease "));
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
  EXPECT_EQ(error->detail(), "The lock is held by a?[31m.");
}

// What a holder on another machine has written.
std::string OtherMachine(uint64_t beat, int64_t seconds) {
  return EncodeLease("backup A (PID 1 on there)",
                     {std::string(32, 'a'), beat, seconds, "another-boot-id"});
}

TEST_F(WriterLockTest, IsNotTakenFromAHolderOnAnotherMachine) {
  MakeDirectory(location_ + "/locks");
  WriteFileDurably(lock_path_, AsBytes(OtherMachine(1, 60)));
  int looks = 0;
  const std::optional<Error> error = ErrorOf([&] {
    static_cast<void>(WriterLock::Acquire(repository_, "we", [&] {
      // It renews its lease.
      if (++looks != 3) return;
      const FileDescriptor file = OpenFile(lock_path_, O_WRONLY);
      WriteAll(file.get(), AsBytes(OtherMachine(2, 60)), lock_path_);
    }));
  });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kLocked);
  EXPECT_EQ(error->detail(), "The lock is held by backup A (PID 1 on there).");
  EXPECT_EQ(ReadText(lock_path_), OtherMachine(2, 60));
}

TEST_F(WriterLockTest, IsTakenFromADeadHolderOnAnotherMachine) {
  MakeDirectory(location_ + "/locks");
  WriteFileDurably(lock_path_, AsBytes(OtherMachine(1, 1)));
  int looks = 0;
  const auto lock = WriterLock::Acquire(repository_, "we", [&] { ++looks; });
  EXPECT_GT(looks, 0) << "it waited";
  lock->Check();
  EXPECT_TRUE(ReadText(lock_path_).starts_with("we\nlease "));
}

TEST_F(WriterLockTest, IsFreeAtOnceAfterAHolderOnAnotherMachineHasEnded) {
  MakeDirectory(location_ + "/locks");
  WriteFileDurably(lock_path_, AsBytes("backup A (PID 1 on there)\n"));
  WriterLock::Acquire(repository_, "we", [] { ADD_FAILURE() << "it waits"; })->Check();
  EXPECT_EQ(ReadText(lock_path_), "we\n");
}

TEST_F(WriterLockTest, WaitForAnotherMachineCanBeCancelled) {
  MakeDirectory(location_ + "/locks");
  WriteFileDurably(lock_path_, AsBytes(OtherMachine(1, kLongestLeaseSeconds)));
  const auto cancel = [] { throw Error(ErrorCode::kCanceled, "cancelled"); };
  EXPECT_ERROR(WriterLock::Acquire(repository_, "we", cancel), ErrorCode::kCanceled, "cancelled");
  EXPECT_EQ(ReadText(lock_path_), OtherMachine(1, kLongestLeaseSeconds));
}

TEST_F(WriterLockTest, HolderNoticesThatAnotherMachineTookItOver) {
  auto lock = WriterLock::Acquire(repository_, "we");
  lock->RenewFor(2);
  lock->Check();
  {
    const FileDescriptor file = OpenFile(lock_path_, O_WRONLY | O_TRUNC);
    WriteAll(file.get(), AsBytes(OtherMachine(1, 60)), lock_path_);
  }
  const std::optional<Error> error = ErrorOf([&] { lock->Check(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kLocked);
  EXPECT_EQ(error->detail(), "It was taken over by backup A (PID 1 on there).");
  EXPECT_ERROR(lock->Renew(), ErrorCode::kLocked, "was lost");
  lock.reset();
  EXPECT_EQ(ReadText(lock_path_), OtherMachine(1, 60)) << "the other one's lease stays";
}

TEST_F(WriterLockTest, RenewingNeedsNoRoom) {
  const auto lock = WriterLock::Acquire(repository_, "we");
  const std::string before = ReadText(lock_path_);
  lock->RenewFor(kLongestLeaseSeconds);
  const std::string after = ReadText(lock_path_);
  EXPECT_NE(before, after);
  EXPECT_EQ(before.size(), after.size());
}

TEST_F(WriterLockTest, IsSeenWithoutTakingIt) {
  EXPECT_FALSE(IsWriterLocked(repository_));
  {
    const auto lock = WriterLock::Acquire(repository_, "we");
    EXPECT_TRUE(IsWriterLocked(repository_));
  }
  EXPECT_FALSE(IsWriterLocked(repository_));
}

TEST(Lease, IsReadAsItWasWritten) {
  const Lease lease = {std::string(32, '7'), UINT64_MAX, 99, "boot"};
  EXPECT_EQ(ParseLease(EncodeLease("holder", lease)), lease);
  const Lease without_boot = {std::string(32, '7'), 0, 1, ""};
  EXPECT_EQ(ParseLease(EncodeLease("", without_boot)), without_boot);
}

TEST(Lease, IsNotBelievedUnlessItIsWhole) {
  const std::string text = EncodeLease("holder", {std::string(32, '7'), 1, 60, "boot"});
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseLease(text.substr(0, size)).has_value()) << size;
  }
  for (const std::string_view other :
       {"holder\nlease x 1 60 boot\n", "holder\nlease \n", "holder\n\n", "\n\n\n",
        "holder\nlease 77777777777777777777777777777777 1 -60 boot\n",
        "holder\nlease 77777777777777777777777777777777 1 99999999 boot\n"}) {
    EXPECT_FALSE(ParseLease(other).has_value()) << other;
  }
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
