// Where a restore may write: never over something, never inside or around what is in use.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace backup_ext {

// Throws Error(kInvalidArgument) unless `directory` can become a stage: absolute, no link as its
// last part, parent there, not inside any data directory, and neither it nor an existing part of it
// is, lies in or contains one of `forbidden` (by resolved path and by device and inode). Throws
// Error(kAlreadyExists) when it holds something, unless it is one of `earlier`: directories of a
// stage that is to be built upon. Changes nothing.
void CheckTargetPlace(const std::string& directory, const std::vector<std::string>& forbidden,
                      const std::vector<std::string>& earlier = {});

// The same path without double or trailing slashes. Throws Error(kInvalidArgument) for a path that
// is not absolute, has a "." or ".." component or a control character.
[[nodiscard]] std::string CleanDirectoryPath(const std::string& directory);

// `<directory>.media`
[[nodiscard]] std::string MediaDirectory(const std::string& directory);
// `<directory>.tablespaces`
[[nodiscard]] std::string TablespacesDirectory(const std::string& directory);

}  // namespace backup_ext
