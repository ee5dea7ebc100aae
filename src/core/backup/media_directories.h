// The media directories: directories outside the data directory that belong to the application.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

inline constexpr size_t kMostMediaDirectories = 99;

// The directories of a setting: absolute paths with commas between them, in double quotes where
// one holds a comma or begins or ends with a blank. Without slashes at the end. Judges the text
// alone; throws Error(kInvalidArgument).
[[nodiscard]] std::vector<std::string> ParseMediaDirectories(std::string_view text);

// A directory that media must be apart from, and what it is: `the data directory`.
struct ReservedDirectory {
  std::string path;
  std::string what;
};

// Each is there, can be listed, and neither lies in, contains nor is one of `reserved` or another
// media directory. Throws Error: kNotFound, kPermissionDenied, kInvalidArgument.
void CheckMediaDirectories(const std::vector<std::string>& directories,
                           const std::vector<ReservedDirectory>& reserved);

// `media/<n>`: what the paths of the n-th directory (from 1) begin with in the manifest.
[[nodiscard]] std::string MediaRootName(size_t number);

}  // namespace backup_ext
