// What the operating system says of the machine that this process runs on.
#pragma once

#include <string>

namespace backup_ext {

// Of this run of the machine's kernel; empty where it does not tell.
[[nodiscard]] std::string BootId();

// Never empty.
[[nodiscard]] std::string HostName();

}  // namespace backup_ext
