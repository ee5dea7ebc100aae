// Everything that a restore wrote, onto the disk.
#include "restore/sync_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/worker_pool.h"
#include "restore/stage_marker.h"

namespace backup_ext {
namespace {

constexpr size_t kFilesPerTask = 64;

void SyncFileAt(int directory, const std::string& name, const std::string& path) {
  int fd;
  do {
    fd = openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  const FileDescriptor file(fd);
  if (!file.valid()) throw SystemError(fmt::format("open file \"{}\"", path), errno);
  try {
    SyncFile(file.get(), path);
  } catch (const Error&) {
    // The kernel forgets what it could not write: nobody must take this file for a right one.
    (void)unlinkat(directory, name.c_str(), 0);
    throw;
  }
}

class Syncing {
 public:
  Syncing(int threads, const std::function<void()>& pause_point)
      : pause_point_(pause_point), pool_(threads, static_cast<size_t>(threads) * 2) {}

  // By path: all parts above `top` are ours, and links below are not entered. The marker is on the
  // disk already, and must not go when its fsync fails: it tells whose directory this is.
  void Walk(const std::string& top) { Walk(top, StageMarkerPath(top)); }

  void Finish() {
    while (!pool_.DrainFor(kPauseEveryMs)) pause_point_();
    for (const std::string& path : directories_) {
      SyncDirectory(path);
      pause_point_();
    }
  }

 private:
  void Walk(const std::string& path, const std::string& marker) {
    const auto entries = ReadDirectory(path);
    if (!entries) throw SystemError(fmt::format("open directory \"{}\"", path), ENOENT);
    directories_.push_back(path);
    std::vector<std::string> files;
    for (const DirectoryEntry& entry : *entries) {
      const std::string below = path + "/" + entry.name;
      const auto status = StatLink(below);
      if (!status || S_ISLNK(status->st_mode)) continue;
      if (S_ISDIR(status->st_mode)) {
        Walk(below, marker);
      } else if (S_ISREG(status->st_mode) && below != marker) {
        files.push_back(entry.name);
        if (files.size() >= kFilesPerTask) Post(path, &files);
      }
    }
    Post(path, &files);
  }

  void Post(const std::string& path, std::vector<std::string>* files) {
    if (files->empty()) return;
    const WorkerPool::Task task = [this, path, names = std::exchange(*files, {})](int) {
      const FileDescriptor directory = OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      for (const std::string& name : names) {
        if (pool_.stop_requested()) return;
        SyncFileAt(directory.get(), name, path + "/" + name);
      }
    };
    while (!pool_.TryPost(task)) {
      if (!pool_.WaitForRoom(kPauseEveryMs)) pause_point_();
    }
    pause_point_();
  }

  const std::function<void()>& pause_point_;
  std::vector<std::string> directories_;
  WorkerPool pool_;
};

}  // namespace

void SyncTree(const StageTree& tree, int threads, const std::function<void()>& pause_point) {
  Syncing syncing(threads, pause_point);
  const std::vector<std::string> directories = tree.ClaimedDirectories();
  for (const std::string& directory : directories) syncing.Walk(directory);
  syncing.Finish();
  for (const std::string& directory : directories) SyncDirectory(ParentDirectory(directory));
}

}  // namespace backup_ext
