// Runs the command of backup_ext.event_command with one event on its standard input.
//
// Only in a process without threads.
#pragma once

#include <string>

namespace backup_ext {

inline constexpr int kEventCommandLimitSeconds = 30;

// Empty when the command ended with exit code 0, else what went wrong: `exited with exit code 3`.
// It runs in a process group of its own by /bin/sh, with no descriptor of the server but its
// standard output and error. After kEventCommandLimitSeconds, or when `must_end` says so, the whole
// group is ended. `wait` is called between looks, for about a tenth of a second. `event` is at most
// 32 KiB: it is in the pipe before the command starts, so that nobody waits for its reader.
[[nodiscard]] std::string RunEventCommand(const std::string& command, const std::string& event,
                                          bool (*must_end)(), void (*wait)());

}  // namespace backup_ext
