// What lies in a directory, removed.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// Removes everything in `directory` but the entry named `kept`. Follows no link.
void RemoveContent(const std::string& directory, std::string_view kept);

// True for a directory that holds directories alone, however deep, and at most a marker of ours
// that was never finished: a restore that died this early leaves no more.
[[nodiscard]] bool HoldsOnlyDirectories(const std::string& directory);

}  // namespace backup_ext
