// Decimal digits, whatever the locale.
#pragma once

namespace backup_ext {

[[nodiscard]] inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace backup_ext
