// The directory that a restore fills: every write goes below a held descriptor, and no link is ever
// followed on the way.
#include "restore/stage_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "format/manifest.h"
#include "restore/directory_content.h"
#include "restore/stage_marker.h"
#include "restore/target_place.h"

namespace backup_ext {
namespace {

constexpr std::string_view kTablespacePrefix = "pg_tblspc/";
// What PostgreSQL itself allows, group access included (PG_MODE_MASK_GROUP); the x bit of a file
// stays for a script that somebody keeps there.
constexpr uint32_t kServerModeMask = 0750;

FileDescriptor OpenAt(int parent, const std::string& name, int flags) {
  int fd;
  do {
    fd = openat(parent, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

FileDescriptor OpenBelow(int root, std::string_view path, const std::string& full_path) {
  FileDescriptor current = OpenAt(root, ".", O_RDONLY | O_DIRECTORY);
  size_t begin = 0;
  while (current.valid() && begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    current =
        OpenAt(current.get(), std::string(path.substr(begin, end - begin)), O_RDONLY | O_DIRECTORY);
    begin = end + 1;
  }
  if (!current.valid()) {
    throw SystemError(fmt::format("open directory \"{}\"", full_path), errno);
  }
  return current;
}

}  // namespace

std::optional<uint32_t> TablespaceOfPath(std::string_view path) {
  if (path.substr(0, kTablespacePrefix.size()) != kTablespacePrefix) return std::nullopt;
  path.remove_prefix(kTablespacePrefix.size());
  const std::string_view digits = path.substr(0, path.find('/'));
  uint32_t oid = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), oid);
  if (problem != std::errc() || end != digits.data() + digits.size() || digits[0] == '0') {
    return std::nullopt;
  }
  return oid;
}

StageTree::StageTree(std::string directory) : directory_(std::move(directory)) {
  main_.path = directory_;
  tablespaces_top_.path = tablespaces_directory();
}

std::string StageTree::tablespaces_directory() const { return TablespacesDirectory(directory_); }

std::string StageTree::FullPath(const std::string& path) const {
  return path.empty() ? directory_ : directory_ + "/" + path;
}

void StageTree::TakeTop(Top* top) const {
  if (mkdir(top->path.c_str(), 0700) == 0) {
    top->made = true;
    top->claimed = true;
  } else if (errno != EEXIST) {
    throw SystemError(fmt::format("create directory \"{}\"", top->path), errno);
  }
  top->fd = OpenAt(AT_FDCWD, top->path, O_RDONLY | O_DIRECTORY);
  struct stat status {};
  if (!top->fd.valid() || fstat(top->fd.get(), &status) != 0) {
    throw SystemError(fmt::format("open directory \"{}\"", top->path), errno);
  }
  const bool is_earlier = !top->made && IsEarlier(top->path);
  if (!top->made && !is_earlier) {
    const auto entries = ReadDirectory(top->path);
    if (!entries || !entries->empty()) {
      throw Error(ErrorCode::kAlreadyExists,
                  fmt::format("directory \"{}\" is not empty", top->path), "",
                  "Name a directory that is empty or does not exist.");
    }
    top->old_mode = status.st_mode & 07777;
  }
  // While it is filled nobody else has business in it.
  if (is_earlier && status.st_uid != geteuid() &&
      fchown(top->fd.get(), geteuid(), getegid()) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", top->path), errno);
  }
  LockFolder(top);
  top->claimed = true;
  if (fchmod(top->fd.get(), 0700) != 0) {
    throw SystemError(fmt::format("set permissions of directory \"{}\"", top->path), errno);
  }
}

// Of two restores one alone gets past this: into a new directory by mkdir(), into a stage by the
// lock.
void StageTree::LockFolder(Top* top) const {
  const std::string name(kStageFolder);
  const bool made = mkdirat(top->fd.get(), name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) {
    throw SystemError(fmt::format("create directory \"{}/{}\"", top->path, kStageFolder), errno);
  }
  bool is_ours = made || IsEarlier(top->path);
  if (is_ours) {
    top->folder = OpenAt(top->fd.get(), name, O_RDONLY | O_DIRECTORY);
    if (!top->folder.valid()) {
      throw SystemError(fmt::format("open directory \"{}/{}\"", top->path, kStageFolder), errno);
    }
    // A file system that cannot lock a directory does without.
    is_ours = flock(top->folder.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  }
  if (is_ours) return;
  top->made = top->claimed = false;
  throw Error(ErrorCode::kAlreadyExists, fmt::format("directory \"{}\" is not empty", top->path),
              "Another restore into it is running.");
}

void StageTree::TakeOver(std::vector<std::string> directories) {
  earlier_ = std::move(directories);
}

bool StageTree::IsEarlier(const std::string& path) const {
  return std::ranges::find(earlier_, path) != earlier_.end();
}

void StageTree::Claim(const std::set<uint32_t>& tablespaces, std::optional<FileOwner> owner) {
  owner_ = owner;
  TakeTop(&main_);
  GiveAway(OpenDirectory(std::string(kStageFolder)).get(), std::string(kStageFolder));
  (void)AddTablespaces(tablespaces);
  if (!media_.path.empty()) TakeTop(&media_);
}

void StageTree::PlaceTablespaces(std::map<uint32_t, std::string> places) {
  places_ = std::move(places);
}

std::string StageTree::TablespacePath(uint32_t oid) const {
  const auto place = places_.find(oid);
  return place == places_.end() ? fmt::format("{}/{}", tablespaces_top_.path, oid) : place->second;
}

std::vector<const StageTree::Top*> StageTree::Tops() const {
  std::vector<const Top*> tops = {&main_, &tablespaces_top_, &media_};
  for (const auto& [oid, top] : placed_) tops.push_back(&top);
  return tops;
}

std::vector<StageTree::Top*> StageTree::Tops() {
  std::vector<Top*> tops = {&main_, &tablespaces_top_, &media_};
  for (auto& [oid, top] : placed_) tops.push_back(&top);
  return tops;
}

std::vector<std::string> StageTree::ClaimedDirectories() const {
  std::vector<std::string> directories;
  for (const Top* top : Tops()) {
    if (top->claimed && top != &media_) directories.push_back(top->path);
  }
  return directories;
}

bool StageTree::AddTablespaces(const std::set<uint32_t>& oids) {
  const bool wants_top = std::any_of(oids.begin(), oids.end(),
                                     [this](uint32_t oid) { return places_.count(oid) == 0; });
  const bool claims = wants_top && !tablespaces_top_.claimed;
  if (claims) TakeTop(&tablespaces_top_);
  for (const uint32_t oid : oids) {
    if (tablespaces_.count(oid) == 0) MakeTablespace(oid);
  }
  return claims;
}

void StageTree::MakeTablespace(uint32_t oid) {
  if (const auto place = places_.find(oid); place != places_.end()) {
    Top* const top = &placed_[oid];
    top->path = place->second;
    TakeTop(top);
    tablespaces_.emplace(oid, OpenAt(top->fd.get(), ".", O_RDONLY | O_DIRECTORY));
    return;
  }
  const std::string name = std::to_string(oid);
  const std::string path = tablespaces_top_.path + "/" + name;
  if (mkdirat(tablespaces_top_.fd.get(), name.c_str(), 0700) != 0 &&
      !(errno == EEXIST && IsEarlier(tablespaces_top_.path))) {
    throw SystemError(fmt::format("create directory \"{}\"", path), errno);
  }
  FileDescriptor fd = OpenAt(tablespaces_top_.fd.get(), name, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) throw SystemError(fmt::format("open directory \"{}\"", path), errno);
  GiveAway(fd.get(), path);
  tablespaces_.emplace(oid, std::move(fd));
}

void StageTree::AbandonTop(Top* top) const {
  if (!top->claimed || IsEarlier(top->path)) return;
  // Only what the held descriptor still stands for: the name may be somebody else's by now.
  struct stat held {};
  const auto named = StatLink(top->path);
  if (fstat(top->fd.get(), &held) != 0 || !named || named->st_dev != held.st_dev ||
      named->st_ino != held.st_ino) {
    return;
  }
  if (top == &media_) MakeRemovable(top->path, [] {});
  // The marker goes last: what is left when this is interrupted is still known as the stage's.
  RemoveContent(top->path, kStageFolder);
  if (top->made) {
    RemoveTree(top->path);
    return;
  }
  RemoveContent(top->path, "");
  if (fchmod(top->fd.get(), top->old_mode) != 0) return;
}

void StageTree::Abandon() noexcept {
  std::vector<Top*> tops = Tops();
  std::ranges::reverse(tops);  // the stage goes last: it names the others
  for (Top* top : tops) {
    try {
      AbandonTop(top);
    } catch (...) {  // the error that brought us here is the one to report
    }
  }
}

void StageTree::GiveAway(int fd, const std::string& path) const {
  if (owner_ && fchown(fd, owner_->uid, owner_->gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", FullPath(path)), errno);
  }
}

int StageTree::Root(const std::string& path, std::string_view* rest) const {
  *rest = path;
  const auto oid = TablespaceOfPath(path);
  if (!oid) return main_.fd.get();
  const auto tablespace = tablespaces_.find(*oid);
  if (tablespace == tablespaces_.end()) return main_.fd.get();
  const size_t slash = path.find('/', kTablespacePrefix.size());
  *rest = slash == std::string::npos ? std::string_view() : rest->substr(slash + 1);
  return tablespace->second.get();
}

FileDescriptor StageTree::OpenParent(const std::string& path, std::string* name) const {
  std::string_view rest;
  const int root = Root(path, &rest);
  if (!IsManifestPath(path) || rest.empty()) {
    throw Error(ErrorCode::kDamaged, fmt::format("\"{}\" is not the path of a file", path));
  }
  FileDescriptor held;
  int current = root;
  size_t begin = 0;
  for (size_t end; (end = rest.find('/', begin)) != std::string_view::npos; begin = end + 1) {
    const std::string part(rest.substr(begin, end - begin));
    FileDescriptor next = OpenAt(current, part, O_RDONLY | O_DIRECTORY);
    if (!next.valid() && errno == ENOENT) {
      if (mkdirat(current, part.c_str(), 0700) != 0 && errno != EEXIST) {
        throw SystemError(fmt::format("create directory \"{}\"", FullPath(path)), errno);
      }
      next = OpenAt(current, part, O_RDONLY | O_DIRECTORY);
      if (next.valid()) GiveAway(next.get(), path);
    }
    if (!next.valid() && (errno == ENOTDIR || errno == ELOOP)) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("\"{}\" lies below something that is no directory", path));
    }
    if (!next.valid()) {
      throw SystemError(fmt::format("open directory of \"{}\"", FullPath(path)), errno);
    }
    held = std::move(next);
    current = held.get();
  }
  *name = rest.substr(begin);
  if (!held.valid()) held = OpenAt(root, ".", O_RDONLY | O_DIRECTORY);
  if (!held.valid()) {
    throw SystemError(fmt::format("open directory of \"{}\"", FullPath(path)), errno);
  }
  return held;
}

FileDescriptor StageTree::CreateFile(const std::string& path) const {
  std::string name;
  const FileDescriptor parent = OpenParent(path, &name);
  FileDescriptor file(
      openat(parent.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.valid()) return file;
  if (errno == EEXIST) {
    throw Error(ErrorCode::kDamaged, fmt::format("file \"{}\" is listed twice", path));
  }
  throw SystemError(fmt::format("create file \"{}\"", FullPath(path)), errno);
}

std::optional<FileDescriptor> StageTree::OpenEarlierFile(const std::string& path) const {
  if (!is_taken_over()) return std::nullopt;
  std::string name;
  const FileDescriptor parent = OpenParent(path, &name);
  FileDescriptor file = OpenAt(parent.get(), name, O_RDWR | O_NONBLOCK);
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  struct stat status {};
  if (file.valid() && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
      status.st_nlink == 1) {
    return file;
  }
  if (unlinkat(parent.get(), name.c_str(), 0) != 0) {
    throw SystemError(fmt::format("remove file \"{}\"", FullPath(path)), errno);
  }
  return std::nullopt;
}

void StageTree::SealFile(int fd, uint32_t mode, const std::string& path) const {
  if (fchmod(fd, (mode & kServerModeMask) | 0400) != 0) {
    throw SystemError(fmt::format("set permissions of file \"{}\"", FullPath(path)), errno);
  }
  GiveAway(fd, path);
}

void StageTree::MakeDirectory(const std::string& path, uint32_t mode) const {
  std::string_view rest;
  const int root = Root(path, &rest);
  FileDescriptor directory;
  if (rest.empty()) {  // a tablespace itself
    directory = OpenAt(root, ".", O_RDONLY | O_DIRECTORY);
  } else {
    std::string name;
    const FileDescriptor parent = OpenParent(path, &name);
    if (mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
      throw SystemError(fmt::format("create directory \"{}\"", FullPath(path)), errno);
    }
    directory = OpenAt(parent.get(), name, O_RDONLY | O_DIRECTORY);
  }
  if (!directory.valid() && (errno == ENOTDIR || errno == ELOOP)) {
    throw Error(ErrorCode::kDamaged, fmt::format("\"{}\" is listed twice", path));
  }
  // The owner must get in, whatever the manifest says: files are still to be written here.
  if (!directory.valid() || fchmod(directory.get(), (mode & kServerModeMask) | 0700) != 0) {
    throw SystemError(fmt::format("set permissions of directory \"{}\"", FullPath(path)), errno);
  }
  GiveAway(directory.get(), path);
}

void StageTree::WriteSmallFile(const std::string& path, std::string_view content,
                               uint32_t mode) const {
  const FileDescriptor file = CreateFile(path);
  WriteAll(file.get(), AsBytes(content), FullPath(path));
  SealFile(file.get(), mode, path);
}

void StageTree::LinkTablespaces() const {
  if (tablespaces_.empty()) return;
  const FileDescriptor parent = OpenDirectory("pg_tblspc");
  for (const auto& [oid, fd] : tablespaces_) {
    const std::string name = std::to_string(oid);
    const std::string target = TablespacePath(oid);
    if (symlinkat(target.c_str(), parent.get(), name.c_str()) != 0) {
      throw SystemError(fmt::format("create symbolic link \"{}/pg_tblspc/{}\"", directory_, oid),
                        errno);
    }
    if (owner_ &&
        fchownat(parent.get(), name.c_str(), owner_->uid, owner_->gid, AT_SYMLINK_NOFOLLOW) != 0) {
      throw SystemError(fmt::format("change owner of \"{}/pg_tblspc/{}\"", directory_, oid), errno);
    }
  }
}

void StageTree::RemoveStageFolders() const {
  for (const Top* top : Tops()) {
    if (top->claimed) RemoveTree(fmt::format("{}/{}", top->path, kStageFolder));
    if (top->claimed) SyncDirectory(top->path);
  }
}

void StageTree::OpenToOwner(uint32_t mode) const {
  for (const Top* top : Tops()) {
    if (!top->claimed) continue;
    if (fchmod(top->fd.get(), (mode & kServerModeMask) | 0700) != 0) {
      throw SystemError(fmt::format("set permissions of directory \"{}\"", top->path), errno);
    }
    GiveAway(top->fd.get(), "");
    SyncDirectory(top->path);
  }
}

FileDescriptor StageTree::OpenDirectory(const std::string& path) const {
  std::string_view rest;
  const int root = Root(path, &rest);
  return OpenBelow(root, rest, FullPath(path));
}

void StageTree::WriteMarkers(std::string_view content) const {
  for (const Top* top : Tops()) {
    if (top->claimed) WriteMarkerIn(*top, content);
  }
}

void StageTree::WriteMarkerIn(const Top& top, std::string_view content) const {
  const std::string path = fmt::format("{}/{}/stage.json", top.path, kStageFolder);
  const std::string unfinished(kUnfinishedMarkerName);
  const int folder = top.folder.get();
  (void)unlinkat(folder, unfinished.c_str(), 0);
  const FileDescriptor file(openat(folder, unfinished.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) throw SystemError(fmt::format("create file \"{}\"", path), errno);
  WriteAll(file.get(), AsBytes(content), path);
  GiveAway(folder, path);
  GiveAway(file.get(), path);
  SyncFile(file.get(), path);
  if (renameat(folder, unfinished.c_str(), folder, "stage.json") != 0) {
    throw SystemError(fmt::format("write file \"{}\"", path), errno);
  }
  SyncDirectory(ParentDirectory(path));
}

}  // namespace backup_ext
