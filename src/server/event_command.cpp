// Runs the command of backup_ext.event_command.
#include "event_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

constexpr Microseconds kGrace = 2 * kMicrosecondsPerSecond;

// Between fork() and exec(): async-signal-safe calls only.
[[noreturn]] void BecomeCommand(const char* command, int input) {
  (void)setsid();
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int number = 1; number < NSIG; number++) (void)signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)dup2(input, STDIN_FILENO);
  if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) {
    const long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < limit; fd++) (void)close(fd);
  }
  (void)execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
  _exit(127);
}

FileDescriptor PipeHolding(const std::string& event) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw SystemError("create pipe", errno);
  FileDescriptor read_end(ends[0]);
  const FileDescriptor write_end(ends[1]);
  WriteAll(write_end.get(), AsBytes(event), "pipe");
  return read_end;
}

// Ends the group and takes the child's status away.
void EndGroup(pid_t child, void (*wait)()) {
  (void)kill(-child, SIGTERM);
  const Microseconds until = MonotonicNow() + kGrace;
  bool gone = false;
  while (!gone && MonotonicNow() < until) {
    wait();
    gone = waitpid(child, nullptr, WNOHANG) != 0;
  }
  // The leader may be gone and others of the group not: its number lives on with them.
  (void)kill(-child, SIGKILL);
  while (!gone) gone = waitpid(child, nullptr, 0) >= 0 || errno != EINTR;
}

std::string DescribeStatus(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status)) return fmt::format("exited with exit code {}", WEXITSTATUS(status));
  return fmt::format("was terminated by signal {}", WTERMSIG(status));
}

}  // namespace

std::string RunEventCommand(const std::string& command, const std::string& event,
                            bool (*must_end)(), void (*wait)()) {
  const FileDescriptor input = PipeHolding(event);
  const char* const text = command.c_str();
  const pid_t child = fork();
  if (child < 0) throw SystemError("fork", errno);
  if (child == 0) BecomeCommand(text, input.get());

  const Microseconds deadline = MonotonicNow() + kEventCommandLimitSeconds * kMicrosecondsPerSecond;
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return DescribeStatus(status);
    if (ended < 0 && errno != EINTR) return "could not be waited for";
    if (must_end()) {
      EndGroup(child, wait);
      return "was ended with the server";
    }
    if (MonotonicNow() > deadline) {
      EndGroup(child, wait);
      return fmt::format("did not end within {} seconds and was killed", kEventCommandLimitSeconds);
    }
    wait();
  }
}

}  // namespace backup_ext
