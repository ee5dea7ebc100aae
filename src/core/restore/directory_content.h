// What lies in a directory, removed.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// Removes everything in `directory` but the entry named `kept`. Follows no link.
void RemoveContent(const std::string& directory, std::string_view kept);

}  // namespace backup_ext
