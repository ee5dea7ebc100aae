// WAL positions as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace backup_ext {

// As PostgreSQL prints them: 0/A000028.
[[nodiscard]] std::string FormatLsn(uint64_t lsn);
[[nodiscard]] uint64_t ParseLsn(std::string_view text);  // throws Error(kDamaged)

}  // namespace backup_ext
