// The media of a backup, written beside the stage: never over anything.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/progress.h"
#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

struct MediaPlan {
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t room_bytes = 0;  // on the disk, blocks rounded up, holes left out
};

// Reads the media's manifest once. Throws Error(kDamaged) when it is not that of the record.
[[nodiscard]] MediaPlan MakeMediaPlan(const Repository& repository, const BackupRecord& record,
                                      const std::function<void()>& pause_point);

struct WriteMediaRequest {
  const Repository* repository;
  const BackupRecord* record;
  int directory;     // where the n-th media directory becomes `<n>`
  std::string path;  // of that directory
  int threads;
};

// What could not be kept of attributes: only root may give files away.
struct MediaResult {
  uint64_t files = 0;
  uint64_t owners_lost = 0;  // entries that belong to whoever restores
  uint64_t attributes_lost =
      0;  // extended attributes, setuid and setgid bits that could not be set
};

// `N files belong to ...` for a person; empty when nothing was lost.
[[nodiscard]] std::string DescribeLosses(const MediaResult& result);

// Content, mode, owner, time of the last change, extended attributes, symbolic and hard links,
// holes. Checked while written: throws Error(kDamaged) naming file and place.
[[nodiscard]] MediaResult WriteMedia(const WriteMediaRequest& request, Progress* progress,
                                     const std::function<void()>& pause_point);

// Everything on the file system of `directory` onto the disk.
void SyncMedia(int directory, const std::string& path);

}  // namespace backup_ext
