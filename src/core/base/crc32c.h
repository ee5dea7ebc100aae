// The two ways to compute a CRC-32C, apart so that a test can compare them. Callers use digest.h.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace backup_ext {

[[nodiscard]] uint32_t Crc32cUpdatePortable(uint32_t crc, ByteSpan bytes);

}  // namespace backup_ext
