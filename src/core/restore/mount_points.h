// What is mounted at or below a directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace backup_ext {

// A mount point that is `directory` (resolved) or lies below it; nothing when there is none. Bind
// mounts count: /proc/self/mountinfo is read, not device numbers.
[[nodiscard]] std::optional<std::string> MountPointIn(const std::string& directory);

// The same on the text of a mountinfo file. Source: proc(5); blanks are octal codes in it.
[[nodiscard]] std::optional<std::string> MountPointIn(std::string_view mount_information,
                                                      const std::string& directory);

// The mount point of the file system that holds `path` (resolved): names can only be exchanged
// below one and the same, even where two show the same device.
[[nodiscard]] std::string MountPointOf(const std::string& path);

}  // namespace backup_ext
