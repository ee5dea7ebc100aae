// A repository: an object store that belongs to one PostgreSQL cluster.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "store/object_store.h"

namespace backup_ext {

// Checks the text of a location alone, no file system: absolute, no "..", at most 1,000 bytes.
// Empty when it is fine, else what is wrong (`repository must be an absolute path`).
[[nodiscard]] std::string CheckLocationText(std::string_view location);

// Throws Error with a hint when a repository cannot be at `location`: its parent is missing, it is
// no directory, not writable, owned by another user, or it is, lies in or contains one of
// `forbidden` (the data directory, each tablespace), compared by resolved path and by device and
// inode. Changes nothing.
void CheckLocation(const std::string& location, const std::vector<std::string>& forbidden);

struct RepositoryOwner {
  uint64_t system_identifier = 0;
};

class Repository {
 public:
  // Opens what is there. Throws Error(kNoRepository) with a hint when there is nothing,
  // Error(kUnsupportedFormat) for a newer format.
  [[nodiscard]] static Repository Open(const std::string& location);
  // The same for a `store` that stands before the one at `location`.
  [[nodiscard]] static Repository Open(const std::string& location,
                                       std::unique_ptr<ObjectStore> store);
  // Opens; when the directory is missing (and its parent is there) or empty, makes a repository of
  // this cluster. Throws Error(kWrongCluster), naming both system identifiers, when it belongs to
  // another one, and Error(kAlreadyExists) when the directory holds something else.
  [[nodiscard]] static Repository OpenOrCreate(const std::string& location,
                                               const RepositoryOwner& owner);

  Repository(Repository&&) noexcept = default;

  [[nodiscard]] ObjectStore& store() const { return *store_; }
  [[nodiscard]] const RepositoryIdentity& identity() const { return identity_; }
  [[nodiscard]] const std::string& location() const { return location_; }
  // Throws Error(kWrongCluster) unless it belongs to `system_identifier`.
  void CheckOwner(uint64_t system_identifier) const;

 private:
  Repository(std::string location, std::unique_ptr<ObjectStore> store, RepositoryIdentity identity);

  std::string location_;
  std::unique_ptr<ObjectStore> store_;
  RepositoryIdentity identity_;
};

}  // namespace backup_ext
