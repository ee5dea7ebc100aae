// A control file made by hand.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "cluster/control_file.h"

namespace backup_ext {

// Whole and sound, of version 15.
inline std::string MakeControlFile(uint64_t system_identifier, uint32_t state = 0,
                                   uint32_t timeline = 0) {
  std::string file(kControlFileBytes, '\0');
  const uint32_t versions[] = {1300, 202209061};
  std::memcpy(file.data(), &system_identifier, sizeof(system_identifier));
  std::memcpy(file.data() + 8, versions, sizeof(versions));
  std::memcpy(file.data() + 16, &state, sizeof(state));
  std::memcpy(file.data() + 48, &timeline, sizeof(timeline));
  const uint32_t crc =
      Crc32cFinish(Crc32cUpdate(kCrc32cInit, AsBytes(std::string_view(file).substr(0, 288))));
  std::memcpy(file.data() + 288, &crc, sizeof(crc));
  return file;
}

}  // namespace backup_ext
