// Where a restore may write: never over something, never inside or around what is in use.
#include "restore/target_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

[[noreturn]] void ThrowForbidden(const std::string& directory, const std::string& other) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("cannot restore into directory \"{}\"", directory),
              fmt::format("It is, lies in or contains \"{}\", which is in use.", other),
              "Choose a directory that has nothing to do with the running server or the "
              "repository.");
}

void CheckForbidden(const std::string& directory, const std::string& other) {
  if (DirectoriesOverlap(directory, other)) ThrowForbidden(directory, other);
}

// A data directory of any server: what lies in one may be removed or backed up by it.
void CheckNotInDataDirectory(const std::string& directory) {
  for (std::string path = ParentDirectory(ResolvePath(directory));; path = ParentDirectory(path)) {
    if (StatLink(JoinPath(path, "PG_VERSION"))) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("cannot restore into directory \"{}\"", directory),
                  fmt::format("It lies in \"{}\", which is a data directory.", path),
                  "Choose a directory outside every data directory.");
    }
    if (StatLink(JoinPath(path, kStageFolder))) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("cannot restore into directory \"{}\"", directory),
                  fmt::format("It lies in \"{}\", which is another stage.", path),
                  "Choose a directory outside every stage: discarding one removes all that lies "
                  "in it.");
    }
    if (path == "/" || path.empty()) return;
  }
}

void CheckEmpty(const std::string& directory) {
  const auto status = StatLink(directory);
  if (!status) return;
  if (!S_ISDIR(status->st_mode)) {
    throw Error(
        ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a directory", directory),
        S_ISLNK(status->st_mode) ? "It is a symbolic link, which a restore never follows." : "",
        "Name a directory that is empty or does not exist.");
  }
  const auto entries = ReadDirectory(directory);
  if (entries && !entries->empty()) {
    throw Error(ErrorCode::kAlreadyExists, fmt::format("directory \"{}\" is not empty", directory),
                fmt::format("It holds \"{}\". A restore never writes over anything.",
                            entries->front().name),
                "Name a directory that is empty or does not exist.");
  }
}

void CheckWritable(const std::string& directory) {
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return;
  const Error error = SystemError(fmt::format("write to directory \"{}\"", directory), errno);
  throw Error(error.code(), error.message(), "",
              "Whoever restores must be able to write there. Change the owner or the mode of the "
              "directory, or choose another one.");
}

}  // namespace

std::string CleanDirectoryPath(const std::string& directory) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("cannot restore into directory \"{}\"", directory), why,
                 "Name a directory that is empty or does not exist, by its absolute path.");
  };
  if (directory.empty() || directory[0] != '/') throw refuse("It must be an absolute path.");
  if (directory.size() > 1000) throw refuse("The path is too long.");
  if (std::any_of(directory.begin(), directory.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    throw refuse("The path contains a control character.");
  }
  std::string clean;
  size_t begin = 0;
  while (begin < directory.size()) {
    const size_t end = std::min(directory.find('/', begin), directory.size());
    const std::string part = directory.substr(begin, end - begin);
    if (part == "." || part == "..") throw refuse("The path must not contain \".\" or \"..\".");
    if (!part.empty()) clean += "/" + part;
    begin = end + 1;
  }
  if (clean.empty()) throw refuse("It is the root directory.");
  return clean;
}

std::string TablespacesDirectory(const std::string& directory) {
  return directory + ".tablespaces";
}

std::string MediaDirectory(const std::string& directory) { return directory + ".media"; }

void CheckTargetPlace(const std::string& directory, const std::vector<std::string>& forbidden,
                      const std::vector<std::string>& earlier) {
  const auto parent = StatFile(ParentDirectory(directory));
  if (!parent || !S_ISDIR(parent->st_mode)) {
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("directory \"{}\" does not exist", ParentDirectory(directory)), "",
        "Only the last part of the path is made by a restore. Make the directory above it first.");
  }
  for (const std::string& place : {directory, TablespacesDirectory(directory)}) {
    CheckNotInDataDirectory(place);
    for (const std::string& other : forbidden) CheckForbidden(place, other);
    if (std::ranges::find(earlier, place) == earlier.end()) CheckEmpty(place);
  }
  // The parent of a mount point may be closed to us.
  CheckWritable(StatFile(directory) ? directory : ParentDirectory(directory));
}

}  // namespace backup_ext
