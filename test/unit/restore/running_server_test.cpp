#include "restore/running_server.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "restore/restore_test_support.h"

namespace backup_ext {
namespace {

// A process named postgres whose working directory is `directory`, for so long.
class Process {
 public:
  Process(const std::string& directory, useconds_t for_us) : pid_(fork()) {
    if (pid_ != 0) return;
    if (chdir(directory.c_str()) != 0 || prctl(PR_SET_NAME, "postgres") != 0) _exit(1);
    usleep(for_us);
    _exit(0);
  }
  ~Process() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

 private:
  pid_t pid_;
};

TEST(RunningServer, TheLastProcessOfAStoppedOneIsGivenTimeToGo) {
  const TemporaryDirectory directory;
  const Process ending(directory.path(), 300'000);
  usleep(100'000);
  CheckNotRunning(directory.path(), "activate");
}

TEST(RunningServer, AProcessThatStaysIsRefused) {
  const TemporaryDirectory directory;
  const Process staying(directory.path(), 60'000'000);
  usleep(100'000);
  const auto error = ErrorOf([&] { CheckNotRunning(directory.path(), "activate"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState);
}

}  // namespace
}  // namespace backup_ext
