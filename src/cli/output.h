// What the program writes: for a person, or one JSON document.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace backup_ext {

// To standard output. Text that is not UTF-8 is mended: a name may be any bytes, JSON may not.
void PrintJson(const nlohmann::json& document);
// As it is. Throws nothing: a disk that is full, or a terminal that is gone, may be where it goes,
// and then there is nobody to tell.
void PrintToStandardError(const std::string& text);
// With `json` a document {"error": {...}} on standard output, else lines on standard error.
void PrintError(const Error& error, bool json);
// One line on standard error.
void PrintWarning(const std::string& text);
// Throws Error(kIo) when standard output could not take all.
void FlushOutput();

// Text that was typed by people or comes from a damaged file: nothing in it may steer a terminal.
[[nodiscard]] std::string Printable(std::string text);
// The text, or null for an empty one.
[[nodiscard]] nlohmann::json TextOrNull(const std::string& text);
// `512 bytes`, `34 MB`, `1.5 GB`: units of 1024, as pg_size_pretty() has them.
[[nodiscard]] std::string SizeText(uint64_t bytes);

}  // namespace backup_ext
