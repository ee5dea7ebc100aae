// Owner, mode, times and extended attributes of restored media.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "format/manifest.h"

namespace backup_ext {

// Any thread.
class MediaAttributes {
 public:
  // An open file or directory. The mode last but for the time: it may forbid the rest.
  void Apply(int fd, const ManifestEntry& entry, const std::string& path);
  // A symbolic link `name` in the directory `parent`.
  void ApplyToLink(int parent, const std::string& name, const ManifestEntry& entry,
                   const std::string& path);

  [[nodiscard]] uint64_t owners_lost() const { return owners_lost_; }
  [[nodiscard]] uint64_t attributes_lost() const { return attributes_lost_; }

 private:
  enum class AttributesOf { kUser, kSystem };
  // Of chown(2): false, and counted, where this process may not do that.
  [[nodiscard]] bool IsGiven(int result, const std::string& path);
  void SetAttributes(int fd, const ManifestEntry& entry, AttributesOf whose,
                     const std::string& path);

  std::atomic<uint64_t> owners_lost_{0};
  std::atomic<uint64_t> attributes_lost_{0};
};

}  // namespace backup_ext
