// Paths in JSON: a name on disk is bytes, JSON is UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// The path with '%' and, where the whole is not UTF-8, every byte above 0x7f as `%XX`.
[[nodiscard]] std::string PathToText(std::string_view path);
// The way back; a '%' that begins no such code stands for itself.
[[nodiscard]] std::string PathFromText(std::string_view text);

}  // namespace backup_ext
