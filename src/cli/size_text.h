// Sizes for people.
#pragma once

#include <cstdint>
#include <string>

namespace backup_ext {

// `512 bytes`, `34 MB`, `1.5 GB`: units of 1024, as pg_size_pretty() has them.
[[nodiscard]] std::string SizeText(uint64_t bytes);

}  // namespace backup_ext
