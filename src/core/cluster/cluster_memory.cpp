// The file is one JSON document and, in a line of its own, the XXH3-128 of all bytes before it.
#include "cluster/cluster_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kVersion = 1;
constexpr uint64_t kLimitBytes = 1024 * 1024;
constexpr size_t kIdLimitBytes = 64;
constexpr std::string_view kTemporarySuffix = ".tmp";

std::string SealOf(std::string_view text) { return HexEncode(Xxh3Digest(AsBytes(text))) + "\n"; }

// The same after a snapshot was taken back, another for every copy. Inode and birth: a data
// directory is often the root of its file system, where all have the same inode.
std::string IdentityOf(const std::string& directory) {
  struct statx status {};
  if (statx(AT_FDCWD, directory.c_str(), 0, STATX_INO | STATX_BTIME, &status) != 0) {
    throw SystemError(fmt::format("read the status of directory \"{}\"", directory), errno);
  }
  if ((status.stx_mask & STATX_BTIME) == 0) return std::to_string(status.stx_ino);
  return fmt::format("{} {}.{:09}", status.stx_ino, status.stx_btime.tv_sec,
                     status.stx_btime.tv_nsec);
}

// A path has any bytes; JSON has UTF-8 only.
void PutRepository(const std::string& repository, Json* object) {
  try {
    static_cast<void>(Json(repository).dump());
    (*object)["repository"] = repository;
  } catch (const Json::exception&) {
    (*object)["repository_hex"] = HexEncode(AsBytes(repository));
  }
}

std::string GetRepository(const Json& object) {
  if (!object.contains("repository_hex")) return object.at("repository").get<std::string>();
  return std::string(AsText(HexDecode(object.at("repository_hex").get<std::string>())));
}

uint64_t ParseSystemIdentifier(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorCode::kDamaged, "its system identifier is not a number");
  }
  return value;
}

std::string Encode(const ClusterMemory& memory, const std::string& identity) {
  const size_t skipped = memory.backup_ids.size() > kRememberedBackups
                             ? memory.backup_ids.size() - kRememberedBackups
                             : 0;
  Json object;
  object["version"] = kVersion;
  object["data_directory"] = identity;
  object["system_identifier"] = std::to_string(memory.system_identifier);
  PutRepository(memory.repository, &object);
  object["repository_created_at"] = FormatTime(memory.repository_created_at);
  object["backup_ids"] = std::vector(memory.backup_ids.begin() + static_cast<ptrdiff_t>(skipped),
                                     memory.backup_ids.end());
  object["boot_id"] = memory.boot_id;
  object["boot_backup_ids"] = memory.boot_backup_ids;
  const std::string text = object.dump(2) + "\n";
  return text + SealOf(text);
}

// Nothing when it is the memory of another directory.
std::optional<ClusterMemory> Decode(std::string_view text, const std::string& identity) {
  constexpr size_t seal_chars = 2 * sizeof(Digest128) + 1;
  if (text.size() < seal_chars) throw Error(ErrorCode::kDamaged, "it ends early");
  const std::string_view document = text.substr(0, text.size() - seal_chars);
  if (text.substr(document.size()) != SealOf(document)) {
    throw Error(ErrorCode::kDamaged, "it does not match its digest");
  }
  const Json object = Json::parse(document);
  if (const auto version = object.at("version").get<uint32_t>(); version != kVersion) {
    throw Error(ErrorCode::kUnsupportedFormat, fmt::format("its version is {}", version));
  }
  if (object.at("data_directory").get<std::string>() != identity) return std::nullopt;
  ClusterMemory memory;
  memory.system_identifier =
      ParseSystemIdentifier(object.at("system_identifier").get<std::string>());
  memory.repository = GetRepository(object);
  memory.repository_created_at = ParseTime(object.at("repository_created_at").get<std::string>());
  memory.backup_ids = object.at("backup_ids").get<std::vector<std::string>>();
  memory.boot_id = object.at("boot_id").get<std::string>();
  memory.boot_backup_ids = object.at("boot_backup_ids").get<std::vector<std::string>>();
  for (const std::string& id : memory.backup_ids) {
    if (id.empty() || id.size() > kIdLimitBytes) {
      throw Error(ErrorCode::kDamaged, fmt::format("\"{}\" is not a backup ID", id));
    }
  }
  return memory;
}

// A crash may have left temporaries of any earlier write.
void SweepTemporaries(const std::string& data_directory) {
  const auto entries = ReadDirectory(data_directory);
  if (!entries) return;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name != kClusterMemoryFile && IsClusterMemoryFile(entry.name)) {
      RemoveFile(JoinPath(data_directory, entry.name));
    }
  }
}

}  // namespace

bool IsClusterMemoryFile(std::string_view path) {
  if (!path.starts_with(kClusterMemoryFile) || path.find('/') != std::string_view::npos) {
    return false;
  }
  const std::string_view rest = path.substr(kClusterMemoryFile.size());
  return rest.empty() || (rest.starts_with('.') && rest.ends_with(kTemporarySuffix));
}

std::optional<ClusterMemory> ReadClusterMemory(const std::string& data_directory,
                                               std::string* problem) {
  problem->clear();
  const std::string path = JoinPath(data_directory, kClusterMemoryFile);
  try {
    // A directory, or a pipe that would block, is no memory.
    const std::optional<struct stat> status = StatFile(path);
    if (!status) return std::nullopt;
    if (!S_ISREG(status->st_mode)) throw Error(ErrorCode::kDamaged, "it is not a regular file");
    const Bytes content = ReadWholeFile(path, kLimitBytes);
    return Decode(AsText(content), IdentityOf(data_directory));
  } catch (const Error& error) {
    *problem = fmt::format("could not read file \"{}\": {}", path, error.message());
  } catch (const Json::exception& error) {
    *problem = fmt::format("could not read file \"{}\": {}", path, error.what());
  }
  return std::nullopt;
}

void WriteClusterMemory(const std::string& data_directory, const ClusterMemory& memory) {
  SweepTemporaries(data_directory);
  // As the server's own files: readable by the group where initdb was told so.
  const std::optional<struct stat> status = StatFile(data_directory);
  const mode_t mode = status && (status->st_mode & S_IRGRP) != 0 ? 0640 : 0600;
  WriteFileDurably(JoinPath(data_directory, kClusterMemoryFile),
                   AsBytes(Encode(memory, IdentityOf(data_directory))), mode);
}

}  // namespace backup_ext
