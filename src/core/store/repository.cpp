// A repository: an object store that belongs to one PostgreSQL cluster.
#include "store/repository.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "store/directory_store.h"
#include "store/temporary_name.h"

namespace backup_ext {
namespace {

constexpr uint64_t kIdentityLimitBytes = 64 * 1024;
constexpr int kCreateAttempts = 10;

void CheckText(const std::string& location) {
  std::string problem = CheckLocationText(location);
  if (problem.empty()) return;
  throw Error(ErrorCode::kInvalidArgument, std::move(problem), {},
              "Set backup_ext.repository to an absolute path outside the data directory.");
}

std::optional<RepositoryIdentity> ReadIdentity(ObjectStore* store) {
  const std::string name(kRepositoryObject);
  const std::optional<Bytes> text = store->Get(name, kIdentityLimitBytes);
  if (!text) return std::nullopt;
  try {
    return DecodeRepositoryIdentity(AsText(*text));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUnsupportedFormat) {
      throw Error(error.code(),
                  fmt::format("repository \"{}\" was made by a newer version of backup_ext",
                              store->Describe()),
                  fmt::format("Reading \"{}\": {}.", name, error.message()),
                  "Use the version that made it, or a newer one.");
    }
    throw Error(error.code(),
                fmt::format("could not read \"{}\" of repository \"{}\": {}", name,
                            store->Describe(), error.message()),
                error.detail(),
                "The backups may still be sound. Put this small file back from a copy.");
  }
}

void CheckIdentity(const std::string& location, const RepositoryIdentity& identity,
                   uint64_t system_identifier) {
  if (identity.system_identifier == system_identifier) return;
  throw Error(ErrorCode::kWrongCluster,
              fmt::format("repository \"{}\" belongs to another cluster", location),
              fmt::format("The repository was made for system identifier {}, this server's is {}.",
                          identity.system_identifier, system_identifier),
              "Every cluster needs a repository of its own. Set backup_ext.repository to another "
              "directory.");
}

// What a creation that was interrupted leaves: tmp/ with nothing but our own temporaries.
bool IsLeftoverOfCreation(const std::string& directory) {
  const std::optional<std::vector<DirectoryEntry>> entries = ReadDirectory(directory);
  return !entries || std::ranges::all_of(*entries, [](const DirectoryEntry& entry) {
    return IsTemporaryName(entry.name);
  });
}

// The first entry that keeps the directory from becoming a repository; empty when there is none.
std::string FindForeignEntry(const std::string& location) {
  const std::optional<std::vector<DirectoryEntry>> entries = ReadDirectory(location);
  if (!entries) return {};
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name == "lost+found") continue;  // a file system of its own, just made
    const bool may_be_directory = entry.type == DT_DIR || entry.type == DT_UNKNOWN;
    if (entry.name == kTemporaryDirectory && may_be_directory &&
        IsLeftoverOfCreation(JoinPath(location, entry.name))) {
      continue;
    }
    return entry.name;
  }
  return {};
}

void MakeRoot(const std::string& location) {
  const std::string parent = ParentDirectory(location);
  if (!StatFile(parent)) {
    throw Error(ErrorCode::kNoRepository,
                fmt::format("could not create repository \"{}\": directory \"{}\" does not exist",
                            location, parent),
                {},
                "Create it, or mount its file system. Only the last part of a repository's path "
                "is made when it is missing.");
  }
  try {
    MakeDirectory(location);
  } catch (const Error& error) {
    throw Error(
        error.code(),
        fmt::format("could not create repository \"{}\": {}", location, error.message()),
        error.detail(),
        fmt::format("The user that runs the server must be able to write to \"{}\".", parent));
  }
}

}  // namespace

Repository::Repository(std::string location, std::unique_ptr<ObjectStore> store,
                       RepositoryIdentity identity)
    : location_(std::move(location)), store_(std::move(store)), identity_(identity) {}

Repository Repository::Open(const std::string& location) {
  CheckText(location);
  return Open(location, OpenDirectoryStore(location));
}

Repository Repository::Open(const std::string& location, std::unique_ptr<ObjectStore> store) {
  std::optional<RepositoryIdentity> identity = ReadIdentity(store.get());
  if (!identity) {
    throw Error(ErrorCode::kNoRepository,
                fmt::format("directory \"{}\" holds no repository", location),
                fmt::format("It has no \"{}\".", kRepositoryObject),
                "Check the path, and that its file system is mounted. The first backup makes a "
                "repository in an empty directory.");
  }
  return Repository(location, std::move(store), *identity);
}

Repository Repository::OpenOrCreate(const std::string& location, const RepositoryOwner& owner) {
  CheckText(location);
  if (!StatFile(location)) MakeRoot(location);
  std::unique_ptr<ObjectStore> store = OpenDirectoryStore(location);
  for (int attempt = 0; attempt < kCreateAttempts; attempt++) {
    if (std::optional<RepositoryIdentity> identity = ReadIdentity(store.get())) {
      CheckIdentity(location, *identity, owner.system_identifier);
      return Repository(location, std::move(store), *identity);
    }
    const std::string foreign = FindForeignEntry(location);
    if (foreign == kRepositoryObject) continue;  // somebody else was faster
    if (!foreign.empty()) {
      // Somebody may have made the repository and begun to use it since we looked for it.
      if (ReadIdentity(store.get())) continue;
      throw Error(ErrorCode::kAlreadyExists,
                  fmt::format("directory \"{}\" is not empty and holds no repository", location),
                  fmt::format("It contains \"{}\".", foreign),
                  "Set backup_ext.repository to an empty directory, or to one that does not exist "
                  "yet. If this was a repository, put its repository.json back.");
    }
    // One object, put whole or not at all: from then on it is a repository.
    const RepositoryIdentity made = {kRepositoryFormatVersion, owner.system_identifier, Now()};
    try {
      store->Put(std::string(kRepositoryObject), AsBytes(EncodeRepositoryIdentity(made)));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kAlreadyExists) throw;
    }
  }
  throw Error(ErrorCode::kIo, fmt::format("could not create repository \"{}\"", location),
              "Its contents kept changing.");
}

void Repository::CheckOwner(uint64_t system_identifier) const {
  CheckIdentity(location_, identity_, system_identifier);
}

}  // namespace backup_ext
