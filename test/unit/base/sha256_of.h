// SHA-256 as sha256sum(1) prints it.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/digest.h"

namespace backup_ext {

inline std::string Sha256Of(ByteSpan content) {
  Sha256Stream stream;
  stream.Update(content);
  return HexEncode(stream.Finish());
}

}  // namespace backup_ext
