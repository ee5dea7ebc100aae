// Finds the CRC of a control file, and with it the end of its struct.
#include "cluster/control_file.h"

#include "base/digest.h"
#include "base/file.h"

namespace backup_ext {
namespace {

// ControlFileData begins with these, in every version: "keep these fields at the same offset".
constexpr size_t kSystemIdentifierOffset = 0;
constexpr size_t kControlVersionOffset = 8;
constexpr size_t kCatalogVersionOffset = 12;
constexpr size_t kStateOffset = 16;
constexpr size_t kCheckpointTimelineOffset = 48;

constexpr uint32_t kShutDown = 1;
constexpr uint32_t kShutDownInRecovery = 2;
constexpr uint32_t kInArchiveRecovery = 5;

// The struct never outgrows a sector, PG_CONTROL_MAX_SAFE_SIZE: its CRC lies at 288 in version 15.
constexpr size_t kFirstCrcOffset = 200;
constexpr size_t kLastCrcOffset = 500;

// Versions 13 to 99. A file of the other byte order is never within.
constexpr uint32_t kOldestControlVersion = 1300;
constexpr uint32_t kNewestControlVersion = 9999;

bool HoldsItsCrc(ByteSpan bytes) {
  uint32_t crc = Crc32cUpdate(kCrc32cInit, bytes.first(kFirstCrcOffset));
  for (size_t offset = kFirstCrcOffset; offset <= kLastCrcOffset; offset += sizeof(uint32_t)) {
    if (Crc32cFinish(crc) == LoadAt<uint32_t>(bytes, offset)) return true;
    crc = Crc32cUpdate(crc, bytes.subspan(offset, sizeof(uint32_t)));
  }
  return false;
}

}  // namespace

bool WasShutDown(const ControlFile& file) {
  return file.state == kShutDown || file.state == kShutDownInRecovery;
}

bool WasInRecovery(const ControlFile& file) {
  return file.state >= kShutDownInRecovery && file.state <= kInArchiveRecovery;
}

std::optional<ControlFile> ParseControlFile(ByteSpan bytes) {
  if (bytes.size() != kControlFileBytes) return std::nullopt;
  const ControlFile file = {
      .system_identifier = LoadAt<uint64_t>(bytes, kSystemIdentifierOffset),
      .control_version = LoadAt<uint32_t>(bytes, kControlVersionOffset),
      .catalog_version = LoadAt<uint32_t>(bytes, kCatalogVersionOffset),
      .state = LoadAt<uint32_t>(bytes, kStateOffset),
      .checkpoint_timeline = LoadAt<uint32_t>(bytes, kCheckpointTimelineOffset),
  };
  if (file.system_identifier == 0 || file.control_version < kOldestControlVersion ||
      file.control_version > kNewestControlVersion || !HoldsItsCrc(bytes)) {
    return std::nullopt;
  }
  return file;
}

std::optional<ControlFile> ReadControlFile(const std::string& path) {
  return ParseControlFile(ReadWholeFile(path, kControlFileBytes));
}

}  // namespace backup_ext
