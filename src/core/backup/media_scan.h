// Walks the media directories in the order of their manifest.
//
// Full paths ascend byte by byte: `a`, then `a.b`, then `a/c`. Holds the names of the directories
// on the way down to the current one, and the files that have several names; never the whole tree.
// Follows no link. What vanishes meanwhile is passed over. Main thread only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/scanned_entry.h"
#include "backup/walk_level.h"
#include "base/file.h"

namespace backup_ext {

// The media directories of a run, open as long as it lives.
class MediaRoots {
 public:
  // In the order of the setting. Throws SystemError().
  explicit MediaRoots(const std::vector<std::string>& directories);

  struct Root {
    std::string name;  // media/<n>
    std::string path;
    FileDescriptor directory;
  };
  // Sorted by name.
  [[nodiscard]] const std::vector<Root>& roots() const { return roots_; }

 private:
  std::vector<Root> roots_;
};

class MediaScan {
 public:
  // `roots` must outlive it.
  MediaScan(const MediaRoots& roots, bool is_last_look);

  // The next directory, file, symbolic or hard link, nothing after the last. Of a file with several
  // names the first one is a file and each other one a hard link to it.
  [[nodiscard]] std::optional<ScannedEntry> Next();

  // What could not be read, to be told. At most kProblemLimit of them; taking empties it.
  [[nodiscard]] std::vector<std::string> TakeUnreadable() { return std::exchange(unreadable_, {}); }
  // Sockets, pipes and devices, of which a backup holds nothing.
  [[nodiscard]] std::vector<std::string> TakeWarnings() { return std::exchange(warnings_, {}); }
  [[nodiscard]] uint64_t unreadable_count() const { return unreadable_count_; }
  // The paths of files with several names that were met first: what hard links may lead to.
  [[nodiscard]] const std::set<std::string>& first_names() const { return first_names_; }

  static constexpr size_t kProblemLimit = 1000;

 private:
  struct LinkedFile {
    std::string path;   // in the manifest
    uint64_t left = 0;  // names that were not met yet
  };

  [[nodiscard]] const MediaRoots::Root& root() const { return roots_.roots()[root_]; }
  [[nodiscard]] std::string ManifestPath(const std::string& below) const;
  [[nodiscard]] std::string DiskPath(const std::string& below) const;
  void Enter(const std::string& below);
  [[nodiscard]] std::optional<ScannedEntry> Visit(const std::string& below);
  [[nodiscard]] std::optional<ScannedEntry> VisitDirectory(const std::string& below);
  [[nodiscard]] std::optional<ScannedEntry> VisitFile(const std::string& below,
                                                      const struct stat& status);
  [[nodiscard]] std::optional<ScannedEntry> VisitLink(const std::string& below,
                                                      const struct stat& status);
  [[nodiscard]] ScannedEntry MakeEntry(EntryKind kind, const std::string& below,
                                       const struct stat& status) const;
  // Passes over what is gone; throws what ends the run.
  void NoteFailure(const char* verb, const std::string& below, int error_number);

  const MediaRoots& roots_;
  const bool is_last_look_;
  size_t root_ = 0;
  bool root_begun_ = false;
  std::vector<WalkLevel> levels_;  // below the root
  std::map<std::pair<dev_t, ino_t>, LinkedFile> linked_;
  std::set<std::string> first_names_;
  std::vector<std::string> unreadable_;
  uint64_t unreadable_count_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace backup_ext
