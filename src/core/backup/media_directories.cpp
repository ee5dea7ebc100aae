// The media directories, as text and on the disk.
#include "backup/media_directories.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

constexpr size_t kPathLimitBytes = 1000;

[[noreturn]] void Refuse(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, problem, {},
              "Write absolute paths with commas between them, for example '/srv/app/uploads, "
              "/srv/app/avatars'.");
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// Up to the quote that ends it; `*text` goes on behind that.
std::string TakeQuoted(std::string_view* text) {
  std::string value;
  for (size_t i = 1; i < text->size(); ++i) {
    if ((*text)[i] != '"') {
      value += (*text)[i];
    } else if (i + 1 < text->size() && (*text)[i + 1] == '"') {
      value += '"';
      ++i;
    } else {
      *text = Trim(text->substr(i + 1));
      return value;
    }
  }
  Refuse("a quoted media directory does not end");
}

std::string TakePlain(std::string_view* text) {
  const size_t comma = std::min(text->find(','), text->size());
  std::string value(Trim(text->substr(0, comma)));
  text->remove_prefix(comma);
  return value;
}

std::string CheckPath(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.empty()) Refuse("the name of a media directory is empty");
  if (path.front() != '/') {
    Refuse(fmt::format("media directory \"{}\" must be an absolute path", path));
  }
  if (path == "/") Refuse("a media directory cannot be the root directory");
  if (path.size() > kPathLimitBytes) {
    Refuse(fmt::format("the path of a media directory must be at most {} bytes long",
                       kPathLimitBytes));
  }
  if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    Refuse("a media directory must not contain control characters");
  }
  if ((path + "/").find("/../") != std::string::npos) {
    Refuse(fmt::format("media directory \"{}\" must not contain \"..\"", path));
  }
  return path;
}

void CheckThere(const std::string& directory) {
  const auto status = StatFile(directory);
  if (!status) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("media directory \"{}\" does not exist", directory), {},
                "Create it or mount its file system, or take it out of "
                "backup_ext.media_directories.");
  }
  if (!S_ISDIR(status->st_mode)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("media directory \"{}\" is not a directory", directory));
  }
  if (faccessat(AT_FDCWD, directory.c_str(), R_OK | X_OK, AT_EACCESS) != 0) {
    const Error error = SystemError(fmt::format("read media directory \"{}\"", directory), errno);
    throw Error(error.code(), error.message(), {},
                "Let the server's user read it and all that lies in it, by its group or by an "
                "access control list.");
  }
}

}  // namespace

std::vector<std::string> ParseMediaDirectories(std::string_view text) {
  std::vector<std::string> directories;
  text = Trim(text);
  if (text.empty()) return directories;
  while (true) {
    const std::string path =
        CheckPath(!text.empty() && text[0] == '"' ? TakeQuoted(&text) : TakePlain(&text));
    if (std::ranges::find(directories, path) != directories.end()) {
      Refuse(fmt::format("media directory \"{}\" is named twice", path));
    }
    directories.push_back(path);
    if (directories.size() > kMostMediaDirectories) {
      Refuse(fmt::format("there can be {} media directories at most", kMostMediaDirectories));
    }
    if (text.empty()) return directories;
    if (text[0] != ',') Refuse("there must be a comma between two media directories");
    text = Trim(text.substr(1));
  }
}

void CheckMediaDirectories(const std::vector<std::string>& directories,
                           const std::vector<ReservedDirectory>& reserved) {
  for (size_t i = 0; i < directories.size(); ++i) {
    const std::string& directory = directories[i];
    CheckThere(directory);
    for (const ReservedDirectory& other : reserved) {
      if (!DirectoriesOverlap(directory, other.path)) continue;
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("media directory \"{}\" must be apart from {}", directory, other.what),
          fmt::format("It is, lies in or contains \"{}\".", other.path),
          "Name the directories of the application alone.");
    }
    for (size_t j = 0; j < i; ++j) {
      if (!DirectoriesOverlap(directory, directories[j])) continue;
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("media directories \"{}\" and \"{}\" overlap", directories[j], directory), {},
          "Name the upper one alone: everything below it belongs to it.");
    }
  }
}

std::string MediaRootName(size_t number) { return fmt::format("media/{}", number); }

}  // namespace backup_ext
