// Where a caller of SQL may have something written, and where nobody may.
#include "target_directory.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

bool IsOneName(const std::string& text) {
  return !text.empty() && text.size() <= 63 && text != "." && text != ".." &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string::npos;
}

}  // namespace

std::string TargetDirectory(const char* directory, bool is_superuser, const char* attempt) {
  const std::string text = directory;
  if (IsOneName(text)) return JoinPath(StagingDirectory(CurrentSettings()), text);
  if (!is_superuser) {
    throw Error(ErrorCode::kPermissionDenied,
                fmt::format("permission denied to {} directory \"{}\"", attempt, text),
                "Only a superuser may name a path.",
                "Give one name (letters, digits, '.', '_', '-'): a directory of that name is made "
                "below backup_ext.staging_directory.");
  }
  if (text.empty() || text[0] != '/') {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("directory \"{}\" is neither an absolute path nor a single name", text),
                {},
                "Give an absolute path, or one name: a directory of that name is made below "
                "backup_ext.staging_directory.");
  }
  return text;
}

std::vector<std::string> ForbiddenDirectories(const Settings& settings) {
  std::vector<std::string> directories = DirectoriesToBackUp();
  directories.push_back(settings.repository);
  return directories;
}

}  // namespace backup_ext
