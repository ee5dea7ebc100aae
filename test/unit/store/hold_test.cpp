// Holds: many readers, or one who removes; a dead holder holds nothing.
#include "store/hold.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/catalog.h"
#include "store/store_test_support.h"

namespace backup_ext {
namespace {

class HoldTest : public testing::Test {
 protected:
  HoldTest() { CommitBackup(repository_, TestRecord(id_, {})); }

  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
  const std::string id_ = TestBackupId(1);
};

TEST_F(HoldTest, ReadersShareIt) {
  const BackupHold one = BackupHold::Take(repository_, id_);
  EXPECT_TRUE(IsHeld(repository_, id_));
  const BackupHold two = BackupHold::Take(repository_, id_);
  EXPECT_FALSE(RemovalHold::TryTake(repository_, id_));
}

TEST_F(HoldTest, EndsWithItsHolder) {
  { const BackupHold hold = BackupHold::Take(repository_, id_); }
  EXPECT_FALSE(IsHeld(repository_, id_));
  EXPECT_TRUE(RemovalHold::TryTake(repository_, id_));
}

TEST_F(HoldTest, NobodyBeginsToReadWhileItIsRemoved) {
  const std::optional<RemovalHold> removal = RemovalHold::TryTake(repository_, id_);
  ASSERT_TRUE(removal);
  EXPECT_ERROR(BackupHold::Take(repository_, id_), ErrorCode::kLocked, "is being removed");
  repository_.store().Delete(RecordName(id_));
  EXPECT_ERROR(BackupHold::Take(repository_, id_), ErrorCode::kNotFound, "does not exist");
}

TEST_F(HoldTest, AHolderThatIsKilledHoldsNothing) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const BackupHold hold = BackupHold::Take(repository_, id_);
    static_cast<void>(!write(ready[1], "x", 1));
    while (true) pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(IsHeld(repository_, id_));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(IsHeld(repository_, id_));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(HoldTest, OfWhatDoesNotExist) {
  EXPECT_ERROR(BackupHold::Take(repository_, TestBackupId(2)), ErrorCode::kNotFound,
               "does not exist");
  EXPECT_ERROR(BackupHold::Take(repository_, "latest"), ErrorCode::kNotFound, "does not exist");
  EXPECT_FALSE(RemovalHold::TryTake(repository_, TestBackupId(2)));
  EXPECT_FALSE(IsHeld(repository_, TestBackupId(2)));
}

}  // namespace
}  // namespace backup_ext
