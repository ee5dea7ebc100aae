// A pack: a header that says which pack it is, then frames one after the other.
//
// Header (64 bytes), documented in doc/repository_format.md, "Pack":
//   0  4  magic "BXP1"
//   4  4  zero
//   8  8  system identifier of the cluster
//  16 24  backup id, ASCII, padded with zero bytes
//  40  4  thread
//  44  4  number
//  48  8  zero
//  56  8  XXH3-64 of bytes 0..55
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "format/names.h"

namespace backup_ext {

inline constexpr size_t kPackHeaderBytes = 64;
// A pack is closed when it has reached this size.
inline constexpr uint64_t kPackTargetBytes = 64ULL * 1024 * 1024;

struct PackHeader {
  uint64_t system_identifier = 0;
  PackId pack;
  bool operator==(const PackHeader&) const = default;
};

[[nodiscard]] Bytes EncodePackHeader(const PackHeader& header);
// Nothing when the bytes are no sound pack header.
[[nodiscard]] std::optional<PackHeader> DecodePackHeader(ByteSpan bytes);

}  // namespace backup_ext
