// Text for a shell, in the commands that we show.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// The word as it is where no shell would change it, else in single quotes.
[[nodiscard]] std::string ShellQuote(std::string_view word);
// In single quotes in any case: `a'b` as `'a'\''b'`.
[[nodiscard]] std::string InSingleQuotes(std::string_view word);

}  // namespace backup_ext
