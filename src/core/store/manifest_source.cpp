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

std::shared_ptr<ObjectReader> OpenManifestObject(const Repository& repository,
                                                 const BackupRecord& record) {
  std::shared_ptr<ObjectReader> object = repository.store().Open(ManifestName(record.backup_id));
  if (!object) throw Error(ErrorCode::kDamaged, "its manifest is missing");
  return object;
}

}  // namespace

void CheckManifestObject(const Repository& repository, const BackupRecord& record,
                         const std::function<void()>& pause_point) {
  const auto object = OpenManifestObject(repository, record);
  if (object->size_bytes() != record.manifest_bytes) {
    throw Error(ErrorCode::kDamaged, fmt::format("its manifest has {} bytes instead of {}",
                                                 object->size_bytes(), record.manifest_bytes));
  }
  Xxh3Stream digest;
  Bytes buffer;
  uint64_t offset = 0;
  while (offset < record.manifest_bytes) {
    object->ReadRangeInto(offset, kReadBytes, &buffer);
    if (buffer.empty()) break;
    digest.Update(buffer);
    offset += buffer.size();
    pause_point();
  }
  if (offset != record.manifest_bytes || HexEncode(digest.Finish()) != record.manifest_digest) {
    throw Error(ErrorCode::kDamaged, "its manifest is not the one that its record names",
                "The digest of the manifest's bytes differs from that in the record.");
  }
}

std::unique_ptr<ManifestReader> OpenManifest(const Repository& repository,
                                             const BackupRecord& record) {
  auto reader = std::make_unique<ManifestReader>(
      [object = OpenManifestObject(repository, record), offset = uint64_t{0}]() mutable {
        Bytes bytes = object->ReadRange(offset, kReadBytes);
        offset += bytes.size();
        return bytes;
      });
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
