// pg_control as bytes: whose it is, and whether it is whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace backup_ext {

inline constexpr size_t kControlFileBytes = 8192;  // PG_CONTROL_FILE_SIZE

struct ControlFile {
  uint64_t system_identifier = 0;
  uint32_t control_version = 0;  // 1300 for 13 to 16, 1700, 1800, ...
  uint32_t catalog_version = 0;
  uint32_t state = 0;  // enum DBState
  uint32_t checkpoint_timeline = 0;
};

// The server that used it last ended in order: DB_SHUTDOWNED, DB_SHUTDOWNED_IN_RECOVERY.
[[nodiscard]] bool WasShutDown(const ControlFile& file);

// The server that used it last ended in a recovery, or in the checkpoint at its end:
// DB_SHUTDOWNED_IN_RECOVERY, DB_SHUTDOWNING, DB_IN_CRASH_RECOVERY, DB_IN_ARCHIVE_RECOVERY.
[[nodiscard]] bool WasInRecovery(const ControlFile& file);

// Nothing when `bytes` are not a whole control file (kControlFileBytes of it) whose CRC-32C holds:
// a torn read, or damage. The CRC follows the fields of the struct, at a place that depends on the
// version; it is looked for, among 76 places, so chance accepts damage once in 2^25 times.
// Source: src/include/catalog/pg_control.h.
[[nodiscard]] std::optional<ControlFile> ParseControlFile(ByteSpan bytes);
// The same for the file at `path`. Throws Error when it cannot be read.
[[nodiscard]] std::optional<ControlFile> ReadControlFile(const std::string& path);

}  // namespace backup_ext
