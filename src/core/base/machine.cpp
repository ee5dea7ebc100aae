// What the operating system says of the machine that this process runs on.
#include "base/machine.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {

std::string BootId() {
  try {
    const Bytes text = ReadWholeFile("/proc/sys/kernel/random/boot_id", 100);
    std::string id(AsText(text));
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
  } catch (const Error&) {
    return {};
  }
}

std::string HostName() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return "unknown host";
  return name;
}

}  // namespace backup_ext
