// The walk, and what each kind of thing on the way means.
#include "backup/media_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "backup/media_directories.h"
#include "base/error.h"
#include "base/extended_attributes.h"
#include "base/open_beneath.h"

namespace backup_ext {
namespace {

bool IsGone(int error_number) {
  // ELOOP: a link took the place of a directory.
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP;
}

bool IsClosedToUs(int error_number) {
  return error_number == EACCES || error_number == EPERM || error_number == ENAMETOOLONG;
}

std::string Name(const std::string& below) { return below.substr(below.rfind('/') + 1); }

}  // namespace

MediaRoots::MediaRoots(const std::vector<std::string>& directories) {
  for (size_t i = 0; i < directories.size(); ++i) {
    roots_.push_back(
        {MediaRootName(i + 1), directories[i], OpenFile(directories[i], O_RDONLY | O_DIRECTORY)});
  }
  std::ranges::sort(roots_, {}, &Root::name);
}

MediaScan::MediaScan(const MediaRoots& roots, bool is_last_look)
    : roots_(roots), is_last_look_(is_last_look) {}

std::string MediaScan::ManifestPath(const std::string& below) const {
  return below.empty() ? root().name : root().name + "/" + below;
}

std::string MediaScan::DiskPath(const std::string& below) const {
  return below.empty() ? root().path : JoinPath(root().path, below);
}

std::optional<ScannedEntry> MediaScan::Next() {
  while (root_ < roots_.roots().size()) {
    if (!root_begun_) {
      root_begun_ = true;
      auto scanned = VisitDirectory("");
      Enter("");
      if (scanned) return scanned;
    }
    if (levels_.empty()) {
      ++root_;
      root_begun_ = false;
      continue;
    }
    std::string name;
    switch (NextStep(&levels_.back(), &name)) {
      case WalkStep::kVisit:
        if (auto scanned = Visit(JoinPath(levels_.back().path, name))) return scanned;
        break;
      case WalkStep::kEnter:
        Enter(JoinPath(levels_.back().path, name));
        break;
      case WalkStep::kLeave:
        levels_.pop_back();
        break;
    }
  }
  return std::nullopt;
}

void MediaScan::Enter(const std::string& below) {
  const FileDescriptor directory =
      OpenBeneath(root().directory.get(), below, O_RDONLY | O_DIRECTORY);
  if (!directory.valid()) {
    NoteFailure("open media directory", below, errno);
    return;
  }
  // By the descriptor: the path may lead elsewhere by now.
  auto names = ReadDirectory(fmt::format("/proc/self/fd/{}", directory.get()));
  if (!names) return;
  levels_.push_back({below, *std::move(names), 0, {}});
}

std::optional<ScannedEntry> MediaScan::Visit(const std::string& below) {
  struct stat status;
  if (fstatat(root().directory.get(), below.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    NoteFailure("read the status of media file", below, errno);
    return std::nullopt;
  }
  if (S_ISDIR(status.st_mode)) return VisitDirectory(below);
  if (S_ISLNK(status.st_mode)) return VisitLink(below, status);
  if (S_ISREG(status.st_mode)) return VisitFile(below, status);
  if (warnings_.size() < kProblemLimit) {
    warnings_.push_back(fmt::format("skipping special file \"{}\"", DiskPath(below)));
  }
  return std::nullopt;
}

std::optional<ScannedEntry> MediaScan::VisitDirectory(const std::string& below) {
  const FileDescriptor directory =
      OpenBeneath(root().directory.get(), below, O_RDONLY | O_DIRECTORY);
  struct stat status;
  if (!directory.valid() || fstat(directory.get(), &status) != 0) {
    const int error_number = errno;
    NoteFailure("open media directory", below, error_number);
    // Known by name at least, with its owner and its mode.
    if (!IsClosedToUs(error_number) ||
        fstatat(root().directory.get(), below.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return std::nullopt;
    }
    return MakeEntry(EntryKind::kDirectory, below, status);
  }
  ScannedEntry scanned = MakeEntry(EntryKind::kDirectory, below, status);
  scanned.entry.xattrs = ReadExtendedAttributes(directory.get(), DiskPath(below));
  if (!below.empty()) levels_.back().descents.insert(Name(below) + "/");
  return scanned;
}

std::optional<ScannedEntry> MediaScan::VisitFile(const std::string& below,
                                                 const struct stat& status) {
  ScannedEntry scanned = MakeEntry(EntryKind::kFile, below, status);
  scanned.entry.file_kind = KindOfMedia(status);
  if (status.st_nlink < 2) return scanned;
  const auto key = std::make_pair(status.st_dev, status.st_ino);
  const auto [place, is_new] =
      linked_.try_emplace(key, LinkedFile{scanned.entry.path, status.st_nlink - 1});
  if (is_new) {
    first_names_.insert(scanned.entry.path);
    return scanned;
  }
  scanned.entry.kind = EntryKind::kHardLink;
  scanned.entry.link_target = place->second.path;
  if (--place->second.left == 0) linked_.erase(place);
  return scanned;
}

std::optional<ScannedEntry> MediaScan::VisitLink(const std::string& below,
                                                 const struct stat& status) {
  std::string target(static_cast<size_t>(std::max<off_t>(status.st_size, 0)) + 256, '\0');
  ssize_t length;
  while ((length = readlinkat(root().directory.get(), below.c_str(), target.data(),
                              target.size())) == static_cast<ssize_t>(target.size())) {
    target.resize(target.size() * 2);
  }
  if (length <= 0) {
    // EINVAL: it is none any more.
    if (length < 0 && errno != EINVAL) NoteFailure("read symbolic link", below, errno);
    return std::nullopt;
  }
  target.resize(static_cast<size_t>(length));
  ScannedEntry scanned = MakeEntry(EntryKind::kSymbolicLink, below, status);
  scanned.entry.link_target = std::move(target);
  return scanned;
}

ScannedEntry MediaScan::MakeEntry(EntryKind kind, const std::string& below,
                                  const struct stat& status) const {
  ScannedEntry scanned;
  scanned.entry.kind = kind;
  scanned.entry.path = ManifestPath(below);
  SetAttributes(status, Now(), &scanned.entry);
  if (kind == EntryKind::kFile) {
    scanned.media = MediaPlace{root().directory.get(), below, DiskPath(below), is_last_look_};
  }
  return scanned;
}

void MediaScan::NoteFailure(const char* verb, const std::string& below, int error_number) {
  if (IsGone(error_number)) return;
  const Error error = SystemError(fmt::format("{} \"{}\"", verb, DiskPath(below)), error_number);
  if (!IsClosedToUs(error_number)) throw error;
  ++unreadable_count_;
  if (unreadable_.size() < kProblemLimit) unreadable_.push_back(error.message());
}

}  // namespace backup_ext
