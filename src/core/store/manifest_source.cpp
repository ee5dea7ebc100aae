// The manifest of a backup, from the store.
#include "store/manifest_source.h"

#include <fmt/format.h>

#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "format/names.h"

namespace backup_ext {
namespace {

constexpr size_t kReadBytes = 1024 * 1024;

std::shared_ptr<ObjectReader> OpenObject(const Repository& repository, const std::string& name) {
  std::shared_ptr<ObjectReader> object = repository.store().Open(name);
  if (!object) throw Error(ErrorCode::kDamaged, "its manifest is missing");
  return object;
}

std::string NameOf(const BackupRecord& record, ManifestKind kind) {
  if (kind == ManifestKind::kCluster) return ManifestName(record.backup_id);
  // Of an interrupted backup what counts is its first look.
  return record.state == "interrupted" ? MediaDraftName(record.backup_id)
                                       : MediaManifestName(record.backup_id);
}

}  // namespace

void CheckManifestObject(const Repository& repository, const BackupRecord& record,
                         const std::function<void()>& pause_point, ManifestKind kind) {
  const bool is_media = kind == ManifestKind::kMedia;
  const uint64_t size_bytes = is_media ? record.media.manifest_bytes : record.manifest_bytes;
  const std::string& expected = is_media ? record.media.manifest_digest : record.manifest_digest;
  const auto object = OpenObject(repository, NameOf(record, kind));
  if (object->size_bytes() != size_bytes) {
    throw Error(ErrorCode::kDamaged, fmt::format("its manifest has {} bytes instead of {}",
                                                 object->size_bytes(), size_bytes));
  }
  Xxh3Stream digest;
  Bytes buffer;
  uint64_t offset = 0;
  while (offset < size_bytes) {
    object->ReadRangeInto(offset, kReadBytes, &buffer);
    if (buffer.empty()) break;
    digest.Update(buffer);
    offset += buffer.size();
    pause_point();
  }
  if (offset != size_bytes || HexEncode(digest.Finish()) != expected) {
    throw Error(ErrorCode::kDamaged, "its manifest is not the one that its record names",
                "The digest of the manifest's bytes differs from that in the record.");
  }
}

std::unique_ptr<ManifestReader> OpenManifestObject(const Repository& repository,
                                                   const std::string& name) {
  return std::make_unique<ManifestReader>(
      [object = OpenObject(repository, name), offset = uint64_t{0}]() mutable {
        Bytes bytes = object->ReadRange(offset, kReadBytes);
        offset += bytes.size();
        return bytes;
      });
}

std::unique_ptr<ManifestReader> OpenManifest(const Repository& repository,
                                             const BackupRecord& record, ManifestKind kind) {
  auto reader = OpenManifestObject(repository, NameOf(record, kind));
  const ManifestHeader& header = reader->header();
  if (header.backup_id != record.backup_id ||
      header.system_identifier != record.system_identifier) {
    throw Error(ErrorCode::kDamaged, "its manifest belongs to another backup",
                fmt::format("The manifest says backup {} of system identifier {}; the record says "
                            "backup {} of {}.",
                            header.backup_id, header.system_identifier, record.backup_id,
                            record.system_identifier));
  }
  return reader;
}

}  // namespace backup_ext
